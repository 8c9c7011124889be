"""Pictures that stay on disk are looked at once before a run, and what cannot be read is left out of it."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from zfnet_explainer.pictures import labelled, stream
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.labelled import StoredPictures, open_split
from zfnet_explainer.pictures.stream import Tolerance
from zfnet_explainer.pictures.view import Picture
from zfnet_explainer.training.process import Process
from zfnet_explainer.training.readable import readable

from ..pictures.splits import STRICT
from ..samples import noise
from .runs import HERE

NAMES = [f"train/n{i % 2}/{i}.png" for i in (0, 2, 4, 1, 3, 5)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six pictures, of which one is none."""
    for i, name in enumerate(NAMES):
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(20, 30, seed=i)).save(file)
    (tmp_path / "data" / NAMES[2]).write_bytes(b"no picture")
    return tmp_path / "data"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes in bytes of the pictures that are decoded from now on."""
    sizes: list[int] = []

    def spied(encoded: bytes, size: int) -> Picture:
        sizes.append(len(encoded))
        return decode(encoded, size)

    monkeypatch.setattr(stream, "decode", spied)
    return sizes


def stored(data: Path) -> StoredPictures:
    pictures = open_split(data, "train", 16, limit=0, tolerance=STRICT)
    assert isinstance(pictures, StoredPictures)
    return pictures


def test_what_cannot_be_read_is_told_and_left_out(data: Path, tmp_path: Path) -> None:
    told: list[str] = []
    pictures, before = readable(stored(data), tmp_path / "run", HERE, Tolerance(False, told.append)), stored(data)
    assert list(pictures.names) == NAMES[:2] + NAMES[3:]
    assert pictures.labels.tolist() == [0, 0, 1, 1, 1]
    for ours, theirs in zip(range(5), (0, 1, 3, 4, 5), strict=True):
        assert torch.equal(pictures.picture(ours), before.picture(theirs))
    [line] = told
    assert line.startswith(f"left out: {NAMES[2]}: these bytes are not a picture")


def test_a_run_that_goes_on_does_not_look_again(data: Path, tmp_path: Path, decoded: list[int]) -> None:
    first: list[str] = []
    second: list[str] = []
    for told in (first, second):
        readable(stored(data), tmp_path / "run", HERE, Tolerance(False, told.append))
    assert (len(decoded), first) == (6, second)
    (data / NAMES[0]).rename(data / "train/n0/6.png")
    readable(stored(data), tmp_path / "run", HERE, Tolerance(False, first.append))
    assert len(decoded) == 12, "other pictures are looked at"


def test_too_many_are_an_error(data: Path, tmp_path: Path) -> None:
    (data / NAMES[5]).unlink()
    (data / NAMES[5]).symlink_to("nowhere")
    with pytest.raises(ValueError, match=rf"^2 of 6 pictures cannot be read, .* such as {NAMES[2]}: these bytes"):
        readable(stored(data), tmp_path / "run", HERE, Tolerance(False, lambda _: None))
    (data / NAMES[5]).unlink()
    with pytest.raises(ValueError, match=r"^1 of 5 pictures cannot be read"):
        readable(stored(data), tmp_path / "run", HERE, Tolerance(True, lambda _: None))


def test_no_more_are_looked_at_than_show_that_they_are_too_many(
    data: Path, tmp_path: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelled, "BATCH", 2)
    (data / NAMES[1]).write_bytes(b"")
    with pytest.raises(ValueError, match=r"^1 of 6 pictures cannot be read"):
        readable(stored(data), tmp_path / "run", HERE, Tolerance(True, lambda _: None))
    assert len(decoded) == 2


def test_the_first_process_alone_takes_the_note(data: Path, tmp_path: Path) -> None:
    other = Process(torch.device("cpu"), Console(quiet=True), loaders=0, rank=1)
    readable(stored(data), tmp_path / "run", other, Tolerance(False, lambda _: None))
    assert not (tmp_path / "run").exists()
