"""Labelled pictures from a `split/CLASS/*` tree, in a folder or in tar shards, decoded into memory."""

import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from ..files import SUFFIXES
from ..wire.image import centre_square


@dataclass(frozen=True)
class Pictures:
    """One split: images uint8 [n, 3, side, side], labels [n], file names and the sorted classes."""

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


def read_split(data: Path, split: str, side: int) -> Pictures:
    """Decode `data/split/CLASS/*` and every `data/*.tar` that holds such paths, centre-cropped to `side`.

    The whole split stays in memory: 3 * side * side bytes a picture (224: 150 kB).
    Raises ValueError where the split holds no picture, or a file that is none.
    """
    with ThreadPoolExecutor() as pool:
        decoded = list(pool.map(partial(_decode, side=side), _files(data, split)))
    if not decoded:
        raise ValueError(f"no pictures under {data}/{split}/CLASS/ nor in {data}/*.tar")
    decoded.sort(key=lambda item: (item[0], item[1]))
    classes = tuple(sorted({label for label, _, _ in decoded}))
    index = {label: i for i, label in enumerate(classes)}
    return Pictures(
        images=torch.from_numpy(np.stack([pixels for _, _, pixels in decoded])).permute(0, 3, 1, 2),
        labels=torch.tensor([index[label] for label, _, _ in decoded]),
        names=tuple(f"{split}/{label}/{name}" for label, name, _ in decoded),
        classes=classes,
    )


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each colour channel over images uint8 [n, 3, h, w], in 0..1."""
    counts = torch.stack([torch.bincount(images[:, c].flatten(), minlength=256) for c in range(3)]).double()
    values = torch.arange(256).double() / 255
    share = counts / counts.sum(1, keepdim=True)
    mean = (share * values).sum(1)
    std = ((share * values**2).sum(1) - mean**2).sqrt()
    return tuple(round(m, 4) for m in mean.tolist()), tuple(round(s, 4) for s in std.tolist())


class RandomViews(Dataset[tuple[Tensor, int]]):
    """Random resized crops (a quarter to all of the area) with flips, uint8 [3, side, side]."""

    def __init__(self, pictures: Pictures, side: int) -> None:
        self.pictures = pictures
        self.view = v2.Compose(
            [
                v2.RandomResizedCrop(side, scale=(0.25, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
            ]
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.view(self.pictures.images[index]), int(self.pictures.labels[index])


def _files(data: Path, split: str) -> Iterator[tuple[str, str, bytes]]:
    """Yield (class, file name, encoded bytes) of a split, from the folder first, then from shards."""
    for path in sorted((data / split).glob("*/*")):
        if path.suffix.lower() in SUFFIXES:
            yield path.parent.name, path.name, path.read_bytes()
    for shard in sorted(data.glob("*.tar")):
        with tarfile.open(shard) as archive:
            for member in archive:
                parts = Path(member.name).parts
                if len(parts) < 3 or parts[-3] != split or Path(member.name).suffix.lower() not in SUFFIXES:
                    continue
                content = archive.extractfile(member)
                if content is not None:
                    yield parts[-2], parts[-1], content.read()


def _decode(file: tuple[str, str, bytes], side: int) -> tuple[str, str, np.ndarray]:
    label, name, encoded = file
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return label, name, np.asarray(centre_square(ImageOps.exif_transpose(image), side)[0])
    except (OSError, SyntaxError) as error:  # what Pillow's decoders raise on damaged bytes
        raise ValueError(f"{label}/{name} cannot be decoded: {error}") from error
