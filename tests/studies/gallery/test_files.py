"""Which pictures are found, in which order, and what of them is in memory."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.samples import noise
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.studies.gallery.files import (
    PictureFile,
    decoded_batches,
    listing,
    picture_files,
    sampled,
    searched_folder,
)

NAMES = ["val/n1/b.png", "val/n1/c.JPG", "val/n2/a.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures in val, one in train, and things that are none."""
    for i, name in enumerate([*NAMES, "train/n1/a.png", "val/stray.png"]):
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(20, 30, seed=i)).save(file)
    (tmp_path / "data/val/n1/a.txt").write_text("no picture")
    (tmp_path / "data/val/n3.png").mkdir()
    return tmp_path / "data"


def packed(folder: Path, out: Path) -> Path:
    """The folder's files in two tars, under a folder of their own, in the order of their names."""
    out.mkdir()
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    for number, part in enumerate((files[:3], files[3:])):
        with tarfile.open(out / f"shard-{number}.tar", "w") as archive:
            for path in part:
                archive.add(path, f"some/where/{path.relative_to(folder)}")
    return out


def test_a_split_in_order_of_class_and_name(folder: Path) -> None:
    found = list(picture_files(folder, "val"))
    assert [file.name for file in found] == NAMES
    assert [file.label for file in found] == ["n1", "n1", "n2"]
    assert [file.read() for file in found] == [(folder / name).read_bytes() for name in NAMES]


def test_a_split_in_tars_is_the_split_in_a_folder(folder: Path, tmp_path: Path) -> None:
    shards = packed(folder, tmp_path / "shards")
    ours, theirs = (list(picture_files(data, "val")) for data in (shards, folder))
    assert [(f.name, f.label, f.read()) for f in ours] == [(f.name, f.label, f.read()) for f in theirs]
    assert listing(shards, "val") == listing(folder, "val")


def test_a_folder_without_splits_has_all_its_pictures(folder: Path) -> None:
    flat = folder / "val"
    assert [(f.name, f.label) for f in picture_files(flat, "val")] == [
        ("stray.png", ""), ("n1/b.png", "n1"), ("n1/c.JPG", "n1"), ("n2/a.png", "n2")
    ]  # fmt: skip


def test_the_folder_that_is_searched(folder: Path, tmp_path: Path) -> None:
    assert searched_folder(folder, "val") == folder / "val"
    assert searched_folder(folder / "val", "val") == folder / "val"
    shards = packed(folder, tmp_path / "shards")
    assert searched_folder(shards, "val") == shards / "val", "which another file would become a part of"


def test_a_listing_changes_with_every_name(folder: Path) -> None:
    before = listing(folder, "val")
    assert before.count == 3
    (folder / "val/n1/b.png").rename(folder / "val/n1/d.png")
    after = listing(folder, "val")
    assert after.count == 3
    assert after.digest != before.digest


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"no pictures under {tmp_path}: neither val/CLASS"):
        listing(tmp_path, "val")


def test_batches_are_decoded_as_a_request_is_and_no_sooner_than_they_are_asked_for(folder: Path) -> None:
    taken: list[int] = []

    def files() -> Iterator[tuple[int, PictureFile]]:
        for number, file in enumerate(picture_files(folder, "val")):
            taken.append(number)
            yield number, file

    batches = decoded_batches(files(), 16, 2, lambda *_: None)
    assert taken == []
    count, pictures = next(batches)
    assert (count, taken) == (2, [0, 1])
    for number, picture in enumerate(pictures):
        assert picture.number == number
        assert np.array_equal(picture.pixels, decode((folder / NAMES[number]).read_bytes(), 16).pixels)
    assert [p.number for p in next(batches)[1]] == [2]
    assert list(batches) == []


def test_a_file_that_is_no_picture_is_left_out_and_told(folder: Path) -> None:
    (folder / NAMES[0]).write_bytes((folder / NAMES[0]).read_bytes()[:200])
    told: list[tuple[str, str]] = []
    files = enumerate(picture_files(folder, "val"))
    [(count, pictures)] = decoded_batches(files, 16, 5, lambda file, why: told.append((file.name, why)))
    assert count == 3
    assert [p.number for p in pictures] == [1, 2]
    [(name, why)] = told
    assert name == NAMES[0]
    assert "cannot be decoded" in why


def test_a_sample_is_the_seeds(folder: Path) -> None:
    found = listing(folder, "val")
    two = [[p.number for p in sampled(folder, "val", found, 2, seed, 16)] for seed in range(8)]
    assert all(len(set(numbers)) == 2 and numbers == sorted(numbers) for numbers in two)
    assert len({tuple(numbers) for numbers in two}) > 1
    assert two[3] == [p.number for p in sampled(folder, "val", found, 2, 3, 16)]
    assert len(sampled(folder, "val", found, 9, 0, 16)) == 3
