"""The atlas, as it is served: each map's projections from the pictures that excite it most.

A folder beside the weights and named after them, `zfnet.atlas` beside `zfnet.safetensors`, built by `zfnet-explainer
gallery`. A layer is one contact sheet, `layer5.webp`, with a block of three by three tiles a map; `atlas.json` says
which map, picture and receptive field every tile has.
"""

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..explanation import Other, Pixels
from ..net.geometry import Box

INDEX, FORMAT = "atlas.json", 1
ROW = 3
NINE = ROW * ROW
LINE, GAP = 4, 16  # pixels between tiles and between blocks


class BadAtlas(ValueError):
    """An atlas that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Strongest:
    """One of a map's strongest activations: in which picture, of which folder, and what it sees of the net's input."""

    activation: float
    source: str
    folder: str
    box: Box


@dataclass(frozen=True)
class Layout:
    """Where a sheet's tiles stand: `maps` blocks of three by three, tiles of `tile` pixels.

    A tile holds a receptive field of `field` pixels: shrunk to it, or enlarged by a whole number. One that is cut at
    the picture's border stands in the tile's middle.
    """

    field: int
    tile: int
    maps: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the sheet."""
        columns = self._columns
        return -(-self.maps // columns) * self._pitch - GAP, columns * self._pitch - GAP

    @property
    def block(self) -> int:
        """The side of a block."""
        return ROW * (self.tile + LINE) - LINE

    def corner(self, block: int) -> tuple[int, int]:
        """Top and left of a block."""
        row, col = divmod(block, self._columns)
        return row * self._pitch, col * self._pitch

    def part(self, block: int, place: int, box: Box) -> tuple[slice, slice]:
        """The rows and columns of the sheet that show a receptive field in a place 0 to 8 of a block."""
        row, col = (
            self._slice(start + index * (self.tile + LINE), side)
            for start, index, side in zip(self.corner(block), divmod(place, ROW), (box.height, box.width), strict=True)
        )
        return row, col

    @property
    def _columns(self) -> int:
        return math.isqrt(self.maps - 1) + 1

    @property
    def _pitch(self) -> int:
        return self.block + GAP

    def _slice(self, start: int, side: int) -> slice:
        shown = min(self.tile, max(1, round(side * self.tile / self.field)))
        first = start + (self.tile - shown) // 2
        return slice(first, first + shown)


class Sheet:
    """A contact sheet; its picture is decoded when a tile is first asked for, and kept."""

    def __init__(self, content: bytes, layout: Layout) -> None:
        self.content, self.layout = content, layout

    def tile(self, block: int, place: int, box: Box) -> Pixels:
        """A receptive field as its tile shows it, uint8 [rows, columns, 3]; what was enlarged, in its own size."""
        pixels = self._pixels[self.layout.part(block, place, box)]
        enlarged = self.layout.tile // self.layout.field
        return np.array(Image.fromarray(pixels).reduce(enlarged)) if enlarged > 1 else pixels

    def block(self, block: int) -> Pixels:
        """All tiles of one map as they stand, uint8 [side, side, 3]."""
        top, left = self.layout.corner(block)
        return self._pixels[top : top + self.layout.block, left : left + self.layout.block]

    @cached_property
    def _pixels(self) -> Pixels:
        with Image.open(io.BytesIO(self.content), formats=("WEBP",)) as image:
            return np.array(image.convert("RGB"))


@dataclass(frozen=True)
class AtlasLayer:
    """The maps of one layer that the atlas has, each with its strongest activations, in the sheets' order.

    `patches` names the sheet of the pictures' own pixels and its hash, where the atlas was built with them.
    """

    layer: int
    maps: Mapping[int, tuple[Strongest, ...]]
    projections: Sheet
    patches: tuple[str, str] | None

    def others(self, feature: int, count: int) -> tuple[Other, ...]:
        """Up to `count` projections of a map, strongest first; none of a map that is not there."""
        if feature not in self.maps:
            return ()
        block = list(self.maps).index(feature)
        return tuple(
            Other(self.projections.tile(block, place, found.box), found.activation, found.source, found.folder)
            for place, found in enumerate(self.maps[feature][:count])
        )


@dataclass(frozen=True)
class Atlas:
    """A net's atlas: its layers by number, its index as written, and the files that serving it takes."""

    layers: Mapping[int, AtlasLayer]
    index: Mapping[str, Any]
    files: Mapping[str, bytes]

    @property
    def pictures(self) -> int:
        """How many pictures were searched for it; those that could not be read are not among them."""
        return sum(self.index["classes"].values())

    def others(self, layer: int, feature: int, count: int) -> tuple[Other, ...]:
        """Up to `count` projections of a map from other pictures; none where the atlas has no such layer or map."""
        return self.layers[layer].others(feature, count) if layer in self.layers else ()


def atlas_folder(weights: Path) -> Path:
    """Where the atlas of a file of weights lies."""
    return weights.with_suffix(".atlas")


def load_atlas(folder: Path, weights_sha256: str) -> Atlas | None:
    """Read the atlas of these weights; None where the folder has none. No sheet is decoded yet.

    Raises BadAtlas where it is damaged, or belongs to other weights.
    """
    try:
        content = (folder / INDEX).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise bad(folder, f"cannot be read ({error.strerror})") from error
    try:
        return _atlas(content, folder, weights_sha256)
    except BadAtlas:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise bad(folder, f"is damaged ({INDEX}: {error!r})") from error


def _atlas(content: bytes, folder: Path, weights_sha256: str) -> Atlas:
    """What an index says, with the sheets that lie beside it."""
    index = json.loads(content)
    if index["format"] != FORMAT:
        raise bad(folder, f"has format {index['format']}, not {FORMAT}")
    if (theirs := index["weights_sha256"]) != weights_sha256:
        raise bad(folder, f"belongs to other weights ({theirs[:12]}..., not {weights_sha256[:12]}...)")
    layers = [_layer(entry, folder) for entry in index["layers"]]
    names = [entry["projections"]["file"] for entry in index["layers"]]
    sheets = {name: layer.projections.content for name, layer in zip(names, layers, strict=True)}
    return Atlas({layer.layer: layer for layer in layers}, index, {INDEX: content, **sheets})


def read_sheet(folder: Path, name: str, sha256: str, layout: Layout) -> Sheet:
    """Read a sheet and check that it is the one its index means. Raises BadAtlas."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise bad(folder, f"lacks {name} ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise bad(folder, f"is damaged ({name} is not the file that {INDEX} describes)")
    return Sheet(content, layout)


def _layer(entry: Mapping[str, Any], folder: Path) -> AtlasLayer:
    maps = {int(one["map"]): tuple(_strongest(found) for found in one["strongest"]) for one in entry["maps"]}
    layout = Layout(entry["field"], entry["tile"], len(maps))
    sheet = read_sheet(folder, entry["projections"]["file"], entry["projections"]["sha256"], layout)
    patches = entry["patches"]
    return AtlasLayer(entry["layer"], maps, sheet, (patches["file"], patches["sha256"]) if patches else None)


def _strongest(found: Mapping[str, Any]) -> Strongest:
    return Strongest(float(found["activation"]), str(found["source"]), str(found["class"]), Box(*found["box"]))


def bad(folder: Path, what: str) -> BadAtlas:
    """The error for an atlas of which `what` is true, with the remedy."""
    return BadAtlas(
        f"the atlas {folder} {what}: delete the folder, then go on without an atlas or build it anew with "
        "`zfnet-explainer gallery DATA --weights WEIGHTS`"
    )
