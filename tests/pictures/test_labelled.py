"""Reading labelled pictures, and their statistics."""

import io
import shutil
import struct
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from zfnet_explainer.pictures import labelled
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.labelled import Pictures, StoredPictures, channel_statistics, open_split
from zfnet_explainer.pictures.stream import Tolerance

from .splits import STRICT, read_split

SIDE = 24
SIZES = {
    "train/n02/b.PNG": (40, 31),
    "train/n02/a.png": (SIDE, SIDE),
    "train/n01/c.png": (19, 50),
    "train/n01/d.jpg": (60, 48),
    "val/n02/a.png": (SIDE, SIDE),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes in train, two pictures each, one class in val; and things that are no pictures."""
    rng = np.random.default_rng(0)
    for path, (width, height) in SIZES.items():
        file = tmp_path / "data" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(file)
    (tmp_path / "data/train/n01/notes.txt").write_text("no picture")
    (tmp_path / "data/train/stray.png").write_bytes(b"not in a class")
    return tmp_path / "data"


def packed(folder: Path, out: Path, prefix: str = "") -> Path:
    """The folder's files as a tar, in an order of its own."""
    out.mkdir()
    with tarfile.open(out / "shard.tar", "w") as archive:
        for path in sorted((p for p in folder.rglob("*") if p.is_file()), reverse=True):
            archive.add(path, f"{prefix}{path.relative_to(folder)}")
    return out


def assert_same(ours: Pictures, expected: Pictures) -> None:
    assert torch.equal(ours.images, expected.images)
    assert torch.equal(ours.labels, expected.labels)
    assert (ours.names, ours.classes) == (expected.names, expected.classes)


def test_reads_a_folder(folder: Path) -> None:
    pictures = read_split(folder, "train", SIDE)
    assert pictures.classes == ("n01", "n02")
    assert pictures.names == ("train/n01/c.png", "train/n01/d.jpg", "train/n02/a.png", "train/n02/b.PNG")
    assert pictures.labels.tolist() == [0, 0, 1, 1]
    assert pictures.images.shape == (4, 3, SIDE, SIDE)
    assert pictures.images.dtype == torch.uint8
    assert len(pictures) == 4


def test_cuts_the_centre_square(folder: Path) -> None:
    pictures = read_split(folder, "train", SIDE)
    whole = np.asarray(Image.open(folder / "train/n02/a.png"))
    assert np.array_equal(pictures.images[2].permute(1, 2, 0), whole), "neither cut nor resized"
    wide = Image.open(folder / "train/n02/b.PNG").crop((4, 0, 35, 31)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    assert np.array_equal(pictures.images[3].permute(1, 2, 0), np.asarray(wide))
    tall = Image.open(folder / "train/n01/c.png").crop((0, 15, 19, 34)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    assert np.array_equal(pictures.images[0].permute(1, 2, 0), np.asarray(tall))


@pytest.mark.parametrize("prefix", ["", "some/where/"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_tar_equals_the_folder(folder: Path, tmp_path: Path, split: str, prefix: str) -> None:
    shards = packed(folder, tmp_path / "shards", prefix)
    assert_same(read_split(shards, split, SIDE), read_split(folder, split, SIDE))


def test_a_folder_and_tars_together(folder: Path, tmp_path: Path) -> None:
    expected = read_split(folder, "train", SIDE)
    shards = packed(folder, tmp_path / "shards")
    (shards / "train").mkdir()
    shutil.move(folder / "train/n02", shards / "train/n03")
    both = read_split(shards, "train", SIDE)
    assert both.classes == ("n01", "n02", "n03")
    assert torch.equal(both.images[:4], expected.images)
    assert torch.equal(both.images[4:], expected.images[2:])


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_pictures_over_the_limit_stay_on_disk(kind: str, folder: Path, tmp_path: Path) -> None:
    expected = read_split(folder, "train", SIDE)
    place = packed(folder, tmp_path / "shards") if kind == "shards" else folder
    size = 4 * 3 * SIDE * SIDE
    assert isinstance(open_split(place, "train", SIDE, limit=size, tolerance=STRICT), Pictures)
    stored = open_split(place, "train", SIDE, limit=size - 1, tolerance=STRICT)
    assert isinstance(stored, StoredPictures)
    assert torch.equal(torch.stack([stored.picture(i) for i in range(len(stored))]), expected.images)
    assert torch.equal(stored.sample(), expected.sample())
    assert_same(replace(expected, labels=stored.labels, names=stored.names, classes=stored.classes), expected)
    (folder / "train/n02/b.PNG").write_bytes(b"no picture any more")
    if kind == "folder":
        with pytest.raises(ValueError, match=r"^train/n02/b\.PNG: these bytes are not a picture"):
            stored.picture(3)


def test_the_sample_of_many_is_spread_over_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled, "SAMPLE", 3)
    expected = read_split(folder, "train", SIDE).images
    assert torch.equal(open_split(folder, "train", SIDE, limit=0, tolerance=STRICT).sample(), expected[[0, 2, 3]])


@pytest.mark.parametrize("place", [".", "nowhere", "train/n01/notes.txt"])
def test_a_split_without_pictures_is_an_error(folder: Path, place: str) -> None:
    data = folder / place
    with pytest.raises(ValueError, match=f"no pictures under {data}/test/CLASS/ nor in {data}/\\*.tar"):
        read_split(data, "test", SIDE)


REASONS = {
    0: "these bytes are not a picture",
    30: "the picture's header cannot be read",
    200: "the PNG picture cannot be decoded",
}


@pytest.mark.parametrize("keep", REASONS, ids="{} bytes".format)
def test_a_damaged_picture_is_named(folder: Path, keep: int) -> None:
    file = folder / "train/n02/b.PNG"
    expected = read_split(folder, "train", SIDE)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"1 of 4 pictures .* such as train/n02/b\.PNG: {REASONS[keep]}"):
        read_split(folder, "train", SIDE)
    told: list[str] = []
    pictures = read_split(folder, "train", SIDE, Tolerance(False, told.append))
    assert_same(pictures, Pictures(expected.images[:3], expected.labels[:3], expected.names[:3], expected.classes))
    [line] = told
    assert line.startswith(f"left out: train/n02/b.PNG: {REASONS[keep]}")


def test_many_damaged_pictures_are_one_line(folder: Path) -> None:
    (folder / "train/n02/b.PNG").write_bytes(b"no picture")
    (folder / "train/n01/c.png").unlink()
    (folder / "train/n01/c.png").symlink_to("nowhere")
    told: list[str] = []
    with pytest.raises(ValueError, match=r"^2 of 4 pictures cannot be read, more than the 1% .*; such as train/n01/c"):
        read_split(folder, "train", SIDE, Tolerance(False, told.append))
    assert told == []


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_a_class_folder_without_pictures_is_told_or_with_strict_refused(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    """It may have its pictures in a shard."""
    if kind == "shards":
        for name in ("b.PNG", "a.png"):
            (folder / "train/n02" / name).rename(tmp_path / name)
        packed(folder, tmp_path / "shards").joinpath("shard.tar").rename(folder / "shard.tar")
        shutil.rmtree(folder / "train/n01")
        (folder / "train/n01").mkdir()
        for name in ("b.PNG", "a.png"):
            (tmp_path / name).rename(folder / "train/n02" / name)
    expected, told = read_split(folder, "train", SIDE), list[str]()
    (folder / "train/n05").mkdir()
    (folder / "train/n05/x.heic").write_bytes(b"of a phone")
    assert_same(read_split(folder, "train", SIDE, Tolerance(False, told.append)), expected)
    endings = ".bmp, .gif, .jpeg, .jpg, .png, .tif, .tiff, .webp"
    assert told == [f"{folder}/train has no picture in n05: what is not {endings} is not read"]
    with pytest.raises(ValueError, match="train has no picture in n05"):
        open_split(folder, "train", SIDE, limit=0, tolerance=STRICT)


def test_a_picture_of_too_many_pixels_is_named(folder: Path) -> None:
    """Of 20,000 x 20,000 as its header says, which is all that Pillow reads."""
    file = folder / "train/n02/b.PNG"
    encoded = bytearray(file.read_bytes())
    encoded[16:24] = struct.pack(">II", 20_000, 20_000)
    encoded[29:33] = struct.pack(">I", zlib.crc32(encoded[12:29]))
    file.write_bytes(encoded)
    with pytest.raises(ValueError, match=r"n02/b\.PNG: the picture has over 170 megapixels"):
        read_split(folder, "train", SIDE)


def test_pixels_are_those_that_the_server_sees(folder: Path) -> None:
    """Also of a photograph on its side whose metadata are damaged, and of one with transparency."""
    stripes = Image.fromarray(np.tile(np.arange(0, 240, 4, dtype=np.uint8)[:, None, None], (1, 40, 3)))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    encoded = io.BytesIO()
    stripes.save(encoded, "JPEG", exif=exif.tobytes(), quality=95)
    (folder / "train/n01/turned.jpg").write_bytes(encoded.getvalue())
    Image.new("RGBA", (SIDE, SIDE), (200, 0, 0, 0)).save(folder / "train/n01/clear.png")
    pictures = read_split(folder, "train", SIDE)
    for name, image in zip(pictures.names, pictures.images, strict=True):
        assert np.array_equal(image.permute(1, 2, 0), decode((folder / name).read_bytes(), SIDE).pixels), name
    found = dict(zip(pictures.names, pictures.images, strict=True))
    rows, columns = (found["train/n01/turned.jpg"].float().mean((0, d)).diff().abs().sum() for d in (2, 1))
    assert columns > 10 * rows, "the stripes stand upright"
    assert (found["train/n01/clear.png"] == 255).all()


def test_channel_statistics() -> None:
    images = torch.randint(0, 256, (7, 3, 5, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:, 1] //= 3
    images[:, 2] = 255
    values = images.numpy().transpose(1, 0, 2, 3).reshape(3, -1) / 255
    mean, std = channel_statistics(images)
    assert mean == pytest.approx(values.mean(1), abs=5.1e-5)
    assert std == pytest.approx(values.std(1), abs=5.1e-5)
    assert (mean[2], std[2]) == (1.0, 0.0)
