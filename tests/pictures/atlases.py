"""Atlases of plain greys: a tile's grey says which map and which place it stands for."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zfnet_explainer.net.geometry import Box
from zfnet_explainer.pictures.atlas import FORMAT, INDEX, NINE, Layout
from zfnet_explainer.studies.gallery.sheets import DrawnSheet

FIELD, TILE = 139, 16
SOURCES = tuple(f"val/n{place}/picture-{place}.png" for place in range(NINE))


def grey(feature: int, place: int) -> int:
    """Neighbouring maps and places differ by far more than WebP is off."""
    return 20 + (97 * feature + 43 * place) % 211


def box(place: int) -> Box:
    """A receptive field; those of the odd places are cut at the picture's border."""
    return Box(0, 10, FIELD - 60, 10 + FIELD) if place % 2 else Box(20, 10, 20 + FIELD, 10 + FIELD)


def write_atlas(folder: Path, weights_sha256: str, maps: Mapping[int, Sequence[int]], tiles: int = NINE) -> Path:
    """An atlas of these maps by layer, each with so many tiles, of activations 9.5, 8.5, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    layers: list[dict[str, Any]] = []
    for layer, features in maps.items():
        drawn = DrawnSheet(Layout(FIELD, TILE, len(features)))
        for block, feature in enumerate(features):
            for place in range(tiles):
                pixels: NDArray[np.uint8] = np.full((3, 3, 3), grey(feature, place), np.uint8)
                drawn.put(block, place, box(place), pixels)
        name = f"layer{layer}.webp"
        entries = [{"map": feature, "strongest": [_entry(place) for place in range(tiles)]} for feature in features]
        sheet = {"file": name, "sha256": drawn.save(folder / name)}
        layers.append({"layer": layer, "field": FIELD, "tile": TILE, "projections": sheet, "patches": None,
                       "maps": entries})  # fmt: skip
    index = {"format": FORMAT, "weights_sha256": weights_sha256, "made": {"count": 90}, "classes": {}, "layers": layers}
    (folder / INDEX).write_text(json.dumps(index))
    return folder


def _entry(place: int) -> dict[str, Any]:
    at = box(place)
    return {
        "activation": 9.5 - place,
        "source": SOURCES[place],
        "class": f"n0{place}",
        "box": [at.top, at.left, at.bottom, at.right],
    }
