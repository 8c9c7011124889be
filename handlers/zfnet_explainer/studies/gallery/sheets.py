"""Contact sheets as they are drawn; `atlas` reads them."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from ...atomic import naming
from ...explanation import Pixels
from ...net.geometry import Box
from ...pictures.atlas import Layout

LARGEST_TILE, SMALLEST_TILE = 96, 48
QUALITY = 80
GREY, WHITE = 128, 255


def layout(field: int, maps: int) -> Layout:
    """Tiles for receptive fields of a side: as they are from 48 to 96 pixels, shrunk or enlarged to that otherwise."""
    return Layout(field, min(LARGEST_TILE, field * -(-SMALLEST_TILE // field)), maps)


class DrawnSheet:
    """A sheet in the making: grey blocks on white, filled tile by tile."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.pixels = np.full((*layout.size, 3), WHITE, np.uint8)
        for block in range(layout.maps):
            top, left = layout.corner(block)
            self.pixels[top : top + layout.block, left : left + layout.block] = GREY

    def put(self, block: int, place: int, box: Box, pixels: Pixels) -> None:
        """Draw the pixels of a receptive field [rows, columns, 3] in a place 0 to 8 of a block."""
        part = self.pixels[self.layout.part(block, place, box)]
        enlarged = self.layout.tile >= self.layout.field
        how = Image.Resampling.NEAREST if enlarged else Image.Resampling.BICUBIC
        part[:] = np.asarray(Image.fromarray(pixels).resize(part.shape[1::-1], how))

    def save(self, path: Path) -> str:
        """Write the sheet as WebP; its SHA-256.

        Lossy, which has colours at half the resolution; but without loss where every pixel was enlarged to a square
        of four or more, which then is the smaller file too.
        """
        lossless = self.layout.tile >= 4 * self.layout.field
        with naming(path):
            Image.fromarray(self.pixels).save(path, "WEBP", quality=QUALITY, method=6, lossless=lossless)
        return hashlib.sha256(path.read_bytes()).hexdigest()
