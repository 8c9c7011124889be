"""What a net sees of an upright picture: a square of it, at the net's size."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from ..explanation import Pixels
from .formats.rgb import as_rgb

INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
MAX_RESIZED = 16_000_000  # pixels of a whole resized picture, 64 MB: its sides are then as 240 to 1


class View(Protocol):
    """What a net sees of a picture, as `Preprocessing` has it: see there."""

    @property
    def size(self) -> int: ...
    @property
    def crop(self) -> float: ...
    @property
    def interpolation(self) -> str: ...


@dataclass(frozen=True)
class WholeSquare:
    """The view of a whole centre square."""

    size: int
    crop: float = 1.0
    interpolation: str = "bicubic"


@dataclass(frozen=True)
class Crop:
    """The square cut from the original, in the original's pixels (after EXIF orientation), to the nearest of them."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels uint8 [size, size, 3], the original's size, and where in it they come from; each is itself alone."""

    pixels: Pixels
    width: int
    height: int
    crop: Crop


def as_view(view: View | int) -> View:
    """A number is the whole centre square at so many pixels."""
    return WholeSquare(view) if isinstance(view, int) else view


def of_pixels(pixels: Pixels, view: View | int) -> Picture:
    """What a net sees of an upright picture's pixels, uint8 [height, width, 3]."""
    return of_upright(Image.fromarray(pixels), view)


def of_upright(image: Image.Image, view: View | int) -> Picture:
    """What a net sees of an upright picture."""
    square, crop = cut(image, view)
    return Picture(np.array(square), image.width, image.height, crop)


def cut(image: Image.Image, view: View | int) -> tuple[Image.Image, Crop]:
    """What a net sees of an upright picture, as RGB, and where that lies in it."""
    view = as_view(view)
    if view.crop < 1:
        return _centre_crop(image, view)
    return centre_square(image, view.size, view.interpolation)


def centre_square(image: Image.Image, size: int, interpolation: str = "bicubic") -> tuple[Image.Image, Crop]:
    """Cut the centre square, as RGB, and resize it (antialiased) where it is not `size` already."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = as_rgb(image, (left, top, left + side, top + side))
    if side != size:
        square = square.resize((size, size), INTERPOLATIONS[interpolation])
    return square, Crop(top, left, side, side)


def _centre_crop(image: Image.Image, view: View) -> tuple[Image.Image, Crop]:
    """Resize the picture and cut the centre, to the bit as torchvision's Resize and CenterCrop do.

    A very long one is not resized as a whole, which would not fit memory: a pixel may then differ by one level.
    """
    shorter, method = round(view.size / view.crop), INTERPOLATIONS[view.interpolation]
    width, height = (int(shorter * side / min(image.size)) for side in image.size)
    left, top = round((width - view.size) / 2), round((height - view.size) / 2)
    box = (left, top, left + view.size, top + view.size)
    across, down = image.width / width, image.height / height
    seen = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    if width * height <= MAX_RESIZED:
        square = as_rgb(image).resize((width, height), method).crop(box)
    else:
        square = as_rgb(image).resize((view.size, view.size), method, box=seen)
    first, last = (round(seen[0]), round(seen[1])), (round(seen[2]), round(seen[3]))
    return square, Crop(first[1], first[0], max(1, last[1] - first[1]), max(1, last[0] - first[0]))
