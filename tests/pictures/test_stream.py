"""Pictures decoded as a stream: when, as what, and what becomes of those that cannot be."""

import errno
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zfnet_explainer.pictures import files, stream
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.files import PictureFile, Retrying, listing, picture_files
from zfnet_explainer.pictures.stream import Tolerance, Unreadable, decoded_batches, pixels, sampled

from ..samples import noise

NAMES = ["val/n1/b.png", "val/n1/c.JPG", "val/n2/a.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures."""
    for i, name in enumerate(NAMES):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(20, 30, seed=i)).save(file)
    return tmp_path


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
    assert why.startswith(f"{NAMES[0]}: the PNG picture cannot be decoded")


def test_a_sample_is_the_seeds(folder: Path) -> None:
    found = listing(folder, "val")
    two = [[p.number for p in sampled(folder, "val", found, 2, seed, 16)] for seed in range(8)]
    assert all(len(set(numbers)) == 2 for numbers in two)
    assert {numbers == sorted(numbers) for numbers in two} == {True, False}, (
        "neighbours in the folder need not be its own"
    )
    assert two[3] == [p.number for p in sampled(folder, "val", found, 2, 3, 16)]
    assert len(sampled(folder, "val", found, 9, 0, 16)) == 3


def test_what_is_no_file_is_named(folder: Path) -> None:
    (folder / "gone.png").symlink_to("nowhere")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    for name, why in (
        ("gone.png", "No such file or directory"),
        ("folder.png", "Is a directory"),
        ("pipe.png", "it is no regular file"),
    ):
        with pytest.raises(Unreadable, match=f"^{name}: it cannot be read: {why}$"):
            pixels(PictureFile(name, "", folder / name), 16, Retrying())


@pytest.mark.parametrize(
    ("failures", "code", "read"),
    [(3, errno.ESTALE, True), (4, errno.EIO, False), (1, errno.EACCES, False), (1, errno.EBADMSG, False)],
)
def test_a_file_system_that_fails_for_a_moment_is_asked_again(
    failures: int, code: int, read: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [file, *_] = picture_files(folder, "val")
    expected, left, opened = pixels(file, 16, Retrying()), [failures], os.open

    def failing(path: str, flags: int, *more: object, **options: object) -> int:
        if path == str(file.path) and left[0]:
            left[0] -= 1
            raise OSError(code, os.strerror(code))
        return opened(path, flags, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", failing)
    monkeypatch.setattr(files, "PAUSES_S", (0, 0, 0))
    if read:
        assert np.array_equal(pixels(file, 16, Retrying()), expected)
    else:
        with pytest.raises(Unreadable, match=f"^{NAMES[0]}: it cannot be read: {os.strerror(code)}$"):
            pixels(file, 16, Retrying())
    assert left == [0], "asked no more often than that"


def test_once_ten_files_have_failed_to_the_end_the_others_are_tried_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails is told of within a minute, however many files it has; what it still reads is read.

    One bad sector takes no patience from the file after it, which fails for a moment.
    """
    names = [f"val/n3/{i}.png" for i in range(14)]
    failing_at = dict.fromkeys(names[:13], 4) | {names[1]: 1}  # how often each one fails
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes((folder / NAMES[0]).read_bytes())
    tried, opened = Counter[str](), os.open

    def failing(path: str, flags: int, *more: object, **options: object) -> int:
        name = Path(path).relative_to(folder).as_posix()
        tried[name] += 1
        if tried[name] <= failing_at.get(name, 0):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, flags, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", failing)
    monkeypatch.setattr(files, "PAUSES_S", (0, 0, 0))
    monkeypatch.setattr(stream, "usable_cores", lambda: 1)
    told: list[str] = []
    found = [PictureFile(name, "n3", folder / name) for name in names]
    for _ in range(2):
        batches = decoded_batches(enumerate(found), 16, 2, lambda file, _: told.append(file.name))
        assert [picture.file.name for _, pictures in batches for picture in pictures] == [names[1], names[13]]
        patient = dict.fromkeys([names[0], *names[2:11]], 4)
        assert tried == patient | {names[1]: 2} | dict.fromkeys(names[11:], 1)
        assert told == [names[0], *names[2:13]]
        told.clear()
        tried.clear()  # another pass begins with patience again


@pytest.mark.parametrize(
    ("strict", "count", "most"), [(False, 1, 1), (False, 100, 1), (False, 101, 2), (False, 5000, 50), (True, 5000, 0)]
)
def test_one_in_a_hundred_may_be_unreadable(strict: bool, count: int, most: int) -> None:
    tolerance = Tolerance(strict, lambda _: None)
    tolerance.check(most, count, "x.png: no picture")
    with pytest.raises(ValueError, match=rf"^{most + 1} of {count} pictures cannot be read.*; such as x\.png: no"):
        tolerance.check(most + 1, count, "x.png: no picture")
