"""The samples beside a model's weights: those that ship, none, and those that cannot be used."""

import json
from pathlib import Path

import pytest

from tests.samples import MODEL_STORE, encoded, noise
from zfnet_explainer.pictures.samples import INDEX, MAX_BYTES, BadSamples, load_samples

JPEG = encoded(noise(24, 24), "JPEG")
ENTRY = {"file": "samples/a.jpg", "title": "a picture", "credit": "drawn for this test", "licence": "CC0"}


def written(folder: Path, *entries: object, jpeg: bytes = JPEG) -> Path:
    """A folder with this index and one picture."""
    (folder / "samples").mkdir()
    (folder / "samples" / "a.jpg").write_bytes(jpeg)
    (folder / INDEX).write_text(json.dumps(entries))
    return folder


def test_every_picture_that_ships_is_offered_with_its_terms() -> None:
    samples = load_samples(MODEL_STORE)
    shipped = {path.relative_to(MODEL_STORE).as_posix() for path in (MODEL_STORE / "samples").iterdir()}
    assert {sample.file for sample in samples} == shipped
    card = (MODEL_STORE / "README.md").read_text()
    for sample in samples:
        assert sample.title
        assert sample.credit
        assert f"`{sample.file}`" in card
        assert sample.licence.partition(",")[0] in card


def test_samples_are_read_as_they_are_in_their_order(tmp_path: Path) -> None:
    first, second = load_samples(written(tmp_path, ENTRY, {**ENTRY, "title": "the same"}))
    assert (first.file, first.title, first.credit, first.licence, first.jpeg) == (*ENTRY.values(), JPEG)
    assert second.title == "the same"


def test_a_model_without_an_index_has_none(tmp_path: Path) -> None:
    assert load_samples(tmp_path) == ()


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([{**ENTRY, "file": "samples/b.jpg"}], r"names .*b\.jpg, which is missing: put that right, or remove it"),
        ([{**ENTRY, "file": "../a.jpg"}], "must lie below"),
        ([{**ENTRY, "file": "/etc/hostname"}], "must lie below"),
        ([{**ENTRY, "author": "me"}], "is no list of objects with file, title, credit and licence"),
        ([{"file": "samples/a.jpg"}], "is no list of objects"),
        (["samples/a.jpg"], "is no list of objects"),
        ([{**ENTRY, "file": "samples"}], "cannot be read with its pictures"),
    ],
)
def test_what_is_wrong_with_an_index_is_said(tmp_path: Path, entries: list[object], said: str) -> None:
    with pytest.raises(BadSamples, match=said):
        load_samples(written(tmp_path, *entries))


@pytest.mark.parametrize("content", [b"GIF89a", JPEG.ljust(MAX_BYTES + 1, b"\0")], ids=["no JPEG", "large"])
def test_a_picture_that_the_page_cannot_carry_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadSamples, match=r"a\.jpg must be a JPEG of at most 40,000 bytes"):
        load_samples(written(tmp_path, ENTRY, jpeg=content))


def test_a_picture_may_have_all_the_bytes_there_are(tmp_path: Path) -> None:
    [sample] = load_samples(written(tmp_path, ENTRY, jpeg=JPEG.ljust(MAX_BYTES, b"\0")))
    assert len(sample.jpeg) == MAX_BYTES
