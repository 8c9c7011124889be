"""Labelled pictures from a `split/CLASS/*` tree, in a folder or in tar shards: in memory, or decoded when drawn."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..messages import some
from .files import SUFFIXES, PictureFile, Retrying, class_folders, is_folder, split_files
from .stream import Tolerance, decoded_batches, decoders, pixels
from .view import View, as_view

SAMPLE = 4096
BATCH = 256
ENDINGS = ", ".join(sorted(SUFFIXES))


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

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Several pictures, uint8 [n, 3, side, side]."""

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

    def batch(self, indices: Sequence[int]) -> Tensor:
        return self.images[list(indices)]

    def sample(self) -> Tensor:
        return self.images


class StoredPictures:
    """One split on disk, each picture decoded when it is drawn; `Pictures` otherwise.

    Names and places lie in arrays: the loader's processes would copy a million Python objects page by
    page, only by counting references to them.
    """

    def __init__(self, files: list[PictureFile], view: View | int) -> None:
        self.classes, self.labels = _classes_and_labels(files)
        self.view = view
        self._names = np.array([os.fsencode(file.name) for file in files])
        self._paths = np.array([os.fsencode(file.path) for file in files])
        self._places = np.array([(file.offset, file.size) for file in files])

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(os.fsdecode, self._names))

    def file(self, index: int) -> PictureFile:
        """Where a picture lies."""
        offset, size = self._places[index].tolist()
        name, path = os.fsdecode(self._names[index]), Path(os.fsdecode(self._paths[index]))
        return PictureFile(name, self.classes[self.labels[index]], path, offset, size)

    def picture(self, index: int) -> Tensor:
        """One picture, uint8 [3, side, side]. Raises Unreadable."""
        return torch.from_numpy(pixels(self.file(index), self.view, Retrying())).permute(2, 0, 1)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """The same, decoded side by side. Raises Unreadable."""
        with decoders() as pool:
            return torch.stack(list(pool.map(self.picture, indices)))

    def readable(self, tolerance: Tolerance) -> "StoredPictures":
        """Those that can be read, each decoded once to see. Raises ValueError where too many cannot."""
        reasons = self.unreadable(range(len(self)), tolerance)
        for reason in reasons.values():
            tolerance.leave_out(reason)
        return self.without(reasons)

    def unreadable(self, indices: Sequence[int], tolerance: Tolerance) -> dict[str, str]:
        """Which of them cannot be read, by name, and why. Raises ValueError once these are too many of all pictures."""
        reasons: dict[str, str] = {}
        files = ((index, self.file(index)) for index in indices)
        for _ in decoded_batches(files, self.view, BATCH, lambda file, why: reasons.update({file.name: why})):
            if reasons:
                tolerance.check(len(reasons), len(self), min(reasons.values()))
        return reasons

    def without(self, names: Collection[str]) -> "StoredPictures":
        """The others."""
        return StoredPictures([f for f in map(self.file, range(len(self))) if f.name not in names], self.view)

    def sample(self) -> Tensor:
        """At most 4,096 pictures, evenly from all. Raises Unreadable."""
        return self.batch(np.linspace(0, len(self) - 1, min(SAMPLE, len(self))).round().astype(int).tolist())


def open_split(data: Path, split: str, view: View | int, limit: int, tolerance: Tolerance) -> Pictures | StoredPictures:
    """The pictures of `split_listing`, as `opened`."""
    return opened(split_listing(data, split, tolerance), view, limit, tolerance)


def split_listing(data: Path, split: str, tolerance: Tolerance) -> list[PictureFile]:
    """`data/split/CLASS/*` and what every `data/*.tar` holds of such paths, by class and name.

    Raises ValueError where there is no picture, or a class folder has none and nothing is tolerated.
    """
    found = split_files(data, split) if is_folder(data) else ()
    files = sorted(found, key=lambda file: (file.folder, file.name))
    if not files:
        raise ValueError(f"no pictures under {data}/{split}/CLASS/ nor in {data}/*.tar")
    classes = {file.folder for file in files}
    if empty := [folder.name for folder in class_folders(data, split) if folder.name not in classes]:
        tolerance.remark(f"{data}/{split} has no picture in {some(empty)}: what is not {ENDINGS} is not read")
    return files


def opened(files: list[PictureFile], view: View | int, limit: int, tolerance: Tolerance) -> Pictures | StoredPictures:
    """As a net sees them; in memory where they take at most `limit` bytes there.

    Raises ValueError where more that cannot be read are met than are tolerated.
    """
    fits = bytes_in_memory(len(files), view) <= limit
    return in_memory(files, view, tolerance) if fits else StoredPictures(files, view)


def bytes_in_memory(count: int, view: View | int) -> int:
    """What so many pictures take in memory: 3 * size * size bytes each (224: 150 kB)."""
    return count * 3 * as_view(view).size ** 2


def in_memory(files: list[PictureFile], view: View | int, tolerance: Tolerance) -> Pictures:
    """All of them decoded, as a net sees them. Raises ValueError where more cannot be than are tolerated."""
    side = as_view(view).size
    images = np.empty((len(files), 3, side, side), np.uint8)
    kept: list[PictureFile] = []
    reasons: list[str] = []
    for _, decoded in decoded_batches(enumerate(files), view, BATCH, lambda _, reason: reasons.append(reason)):
        for picture in decoded:
            images[len(kept)] = picture.pixels.transpose(2, 0, 1)
            kept.append(picture.file)
        if reasons:
            tolerance.check(len(reasons), len(files), reasons[0])
    for reason in reasons:
        tolerance.leave_out(reason)
    classes, labels = _classes_and_labels(kept)
    return Pictures(torch.from_numpy(images[: len(kept)]), labels, tuple(file.name for file in kept), classes)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each colour channel over images uint8 [n, 3, h, w], in 0..1."""
    counts = torch.zeros(3, 256, dtype=torch.float64)
    for batch in torch.split(images, BATCH):  # a channel's values are copied
        counts += torch.stack([torch.bincount(batch[:, channel].flatten(), minlength=256) for channel in range(3)])
    values = torch.arange(256).double() / 255
    share = counts / counts.sum(1, keepdim=True)
    mean = (share * values).sum(1)
    std = ((share * values**2).sum(1) - mean**2).sqrt()
    return tuple(round(m, 4) for m in mean.tolist()), tuple(round(s, 4) for s in std.tolist())


def _classes_and_labels(files: list[PictureFile]) -> tuple[tuple[str, ...], Tensor]:
    classes = tuple(sorted({file.folder for file in files}))
    index = {folder: i for i, folder in enumerate(classes)}
    return classes, torch.tensor([index[file.folder] for file in files])
