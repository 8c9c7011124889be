"""Labelled pictures from a `split/CLASS/*` tree, in a folder or in tar shards: in memory, or decoded when drawn."""

import io
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from .decode import centre_square
from .files import SUFFIXES

MEMORY_LIMIT = 8 * 2**30
SAMPLE = 4096


class Source(Protocol):
    """Labelled pictures to draw from: labels [n], file names and the sorted classes."""

    @property
    def labels(self) -> Tensor: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...

    def picture(self, index: int) -> Tensor:
        """One picture, uint8 [3, side, side]."""

    def sample(self) -> Tensor:
        """Enough pictures to take statistics of, uint8 [n, 3, side, side]."""


@dataclass(frozen=True)
class Pictures:
    """One split in memory: images uint8 [n, 3, side, side], labels [n], file names and the sorted classes."""

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def picture(self, index: int) -> Tensor:
        return self.images[index]

    def sample(self) -> Tensor:
        return self.images

    def share(self, rank: int, world: int) -> "Pictures":
        """Every `world`-th picture, from number `rank` on."""
        one = slice(rank, None, world)
        return Pictures(self.images[one], self.labels[one], self.names[one], self.classes)


@dataclass(frozen=True)
class File:
    """One encoded picture: `size` bytes from `offset` on of a shard, or of the picture's own file."""

    label: str
    name: str
    path: str
    offset: int
    size: int

    def decode(self, side: int) -> Tensor:
        """Its centre square, uint8 [3, side, side]; ValueError for what cannot be decoded."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            encoded = file.read(self.size)
        try:
            with Image.open(io.BytesIO(encoded)) as image:
                pixels = np.array(centre_square(ImageOps.exif_transpose(image), side)[0])
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # Pillow's, on damaged bytes or too many
            raise ValueError(f"{self.label}/{self.name} cannot be decoded: {error}") from error
        return torch.from_numpy(pixels).permute(2, 0, 1)


class StoredPictures:
    """One split on disk, each picture decoded when it is drawn; `Pictures` otherwise.

    Names and places lie in arrays: the loader's processes would copy a million Python objects page by
    page, only by counting references to them.
    """

    def __init__(self, files: list[File], split: str, side: int) -> None:
        self.classes, self.labels = _classes_and_labels(files)
        self._split, self._side = split, side
        self._names = np.array([os.fsencode(file.name) for file in files])
        self._paths = np.array([os.fsencode(file.path) for file in files])
        self._places = np.array([(file.offset, file.size) for file in files])

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        labels = (self.classes[label] for label in self.labels.tolist())
        return tuple(f"{self._split}/{label}/{os.fsdecode(n)}" for label, n in zip(labels, self._names, strict=True))

    def picture(self, index: int) -> Tensor:
        offset, size = self._places[index].tolist()
        label, name, path = self.classes[self.labels[index]], self._names[index], self._paths[index]
        return File(label, os.fsdecode(name), os.fsdecode(path), offset, size).decode(self._side)

    def sample(self) -> Tensor:
        """At most 4,096 pictures, evenly from all."""
        chosen = np.linspace(0, len(self) - 1, min(SAMPLE, len(self))).round().astype(int).tolist()
        with ThreadPoolExecutor() as pool:
            return torch.stack(list(pool.map(self.picture, chosen)))


def read_split(data: Path, split: str, side: int) -> Pictures:
    """Decode `data/split/CLASS/*` and every `data/*.tar` that holds such paths into memory, centre-cropped to `side`.

    Raises ValueError where the split holds no picture, or a file that is none.
    """
    return _in_memory(_files(data, split), split, side)


def open_split(data: Path, split: str, side: int, limit: int) -> Pictures | StoredPictures:
    """The same, in memory where its 3 * side * side bytes a picture (224: 150 kB) are at most `limit` together."""
    files = _files(data, split)
    fits = len(files) * 3 * side * side <= limit
    return _in_memory(files, split, side) if fits else StoredPictures(files, split, side)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each colour channel over images uint8 [n, 3, h, w], in 0..1."""
    counts = torch.stack([torch.bincount(images[:, c].flatten(), minlength=256) for c in range(3)]).double()
    values = torch.arange(256).double() / 255
    share = counts / counts.sum(1, keepdim=True)
    mean = (share * values).sum(1)
    std = ((share * values**2).sum(1) - mean**2).sqrt()
    return tuple(round(m, 4) for m in mean.tolist()), tuple(round(s, 4) for s in std.tolist())


def _in_memory(files: list[File], split: str, side: int) -> Pictures:
    images = torch.empty(len(files), 3, side, side, dtype=torch.uint8)

    def decode(index: int) -> None:
        images[index] = files[index].decode(side)

    with ThreadPoolExecutor() as pool:
        list(pool.map(decode, range(len(files))))
    classes, labels = _classes_and_labels(files)
    return Pictures(images, labels, tuple(f"{split}/{file.label}/{file.name}" for file in files), classes)


def _classes_and_labels(files: list[File]) -> tuple[tuple[str, ...], Tensor]:
    classes = tuple(sorted({file.label for file in files}))
    index = {label: i for i, label in enumerate(classes)}
    return classes, torch.tensor([index[file.label] for file in files])


def _files(data: Path, split: str) -> list[File]:
    files = sorted([*_in_folder(data / split), *_in_shards(data, split)], key=lambda file: (file.label, file.name))
    if not files:
        raise ValueError(f"no pictures under {data}/{split}/CLASS/ nor in {data}/*.tar")
    return files


def _in_folder(folder: Path) -> Iterator[File]:
    for path in folder.glob("*/*"):
        if path.suffix.lower() in SUFFIXES:
            yield File(path.parent.name, path.name, str(path), 0, path.stat().st_size)


def _in_shards(data: Path, split: str) -> Iterator[File]:
    for shard in sorted(data.glob("*.tar")):
        with tarfile.open(shard, "r:") as archive:  # not compressed: pictures are read where they lie
            for member in archive:
                *_, folder, label, name = ("", "", *Path(member.name).parts)
                if member.isfile() and folder == split and Path(name).suffix.lower() in SUFFIXES:
                    yield File(label, name, str(shard), member.offset_data, member.size)
