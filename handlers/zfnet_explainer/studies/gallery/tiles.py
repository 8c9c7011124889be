"""The second pass: each strongest activation is projected to the pixels and drawn into its layer's sheets."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...methods.deconvnet import Feature, down
from ...net.chain import Activations, Chain
from ...net.checkpoint import Checkpoint
from ...pictures.atlas import Strongest
from ...pictures.display import patch_pixels, projection_pixels
from ...pictures.files import PictureFile
from ...pictures.stream import Decoded, decoded_batches
from .sheets import DrawnSheet, layout

PICTURES, PROJECTIONS = 16, 16  # at once: the memory of the pass


class ChangedPictures(ValueError):
    """A picture is not the one that was searched; the message says what to do."""

    def __init__(self, file: PictureFile, folder: Path) -> None:
        super().__init__(f"{file.name} has changed since it was searched: delete {folder} to begin anew")


@dataclass(frozen=True)
class Tile:
    """A place 0 to 8 of a map's block, and the activation that the search found for it."""

    feature: int
    place: int
    activation: float


Wanted = Mapping[int, Sequence[Tile]]  # by the picture's number


def wanted_places(maps: Sequence[int], values: torch.Tensor, pictures: torch.Tensor) -> Wanted:
    """What the search found for these maps [maps of the layer, 9], by picture."""
    places: dict[int, list[Tile]] = defaultdict(list)
    for feature in maps:
        for place, (value, number) in enumerate(zip(values[feature].tolist(), pictures[feature].tolist(), strict=True)):
            if number >= 0:
                places[number].append(Tile(feature, place, value))
    return places


def build_layer(
    checkpoint: Checkpoint,
    layer: int,
    maps: Sequence[int],
    wanted: Wanted,
    files: Iterator[tuple[int, PictureFile]],
    folder: Path,
    patches: bool,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    """Draw a layer's sheets into `folder` and return its entry in the atlas's index.

    `advance` is told how many tiles are done. Raises ChangedPictures.
    """  # fmt: skip
    shape = layout(largest_field(checkpoint.chain, layer), len(maps))
    projections, originals = DrawnSheet(shape), DrawnSheet(shape)
    found: dict[int, dict[int, Strongest]] = {feature: {} for feature in maps}
    for picture, place, feature in _projected(checkpoint, layer, wanted, files, folder):
        block, box = list(maps).index(place.feature), feature.receptive_field
        projections.put(block, place.place, box, projection_pixels(feature.projection, box))
        originals.put(block, place.place, box, patch_pixels(picture.pixels, box))
        found[place.feature][place.place] = Strongest(place.activation, picture.file.name, picture.file.label, box)
        advance(1)
    sheets = {"projections": projections} | ({"patches": originals} if patches else {})
    return {
        "layer": layer,
        "field": shape.field,
        "tile": shape.tile,
        **{kind: _saved(sheets.get(kind), folder, f"layer{layer}{ending}.webp")
           for kind, ending in (("projections", ""), ("patches", "-patches"))},
        "maps": [{"map": f, "strongest": [_entry(found[f][place]) for place in sorted(found[f])]} for f in maps],
    }  # fmt: skip


def largest_field(chain: Chain, layer: int) -> int:
    """The longest side that a receptive field of a layer's cells has, in pixels."""
    name = chain.features[layer - 1]
    vertical, horizontal = chain.axes[chain.spatial[chain.spatial.index(name) - 1]]
    rows = [chain.receptive_field(name, row, 0) for row in range(vertical.size_out)]
    cols = [chain.receptive_field(name, 0, col) for col in range(horizontal.size_out)]
    return max(*(box.bottom - box.top for box in rows), *(box.right - box.left for box in cols))


def project_each(chain: Chain, activations: Activations, layer: str, cells: Sequence[tuple[int, int]]) -> list[Feature]:
    """Project map `cells[i][1]` of picture `cells[i][0]` of a batch from its largest activation, all at once.

    Each is what `deconvnet.project` finds for that picture alone.
    """
    pictures, features = (list(column) for column in zip(*cells, strict=True))
    maps = activations.outputs[layer]
    values, positions = maps[pictures, features].flatten(1).max(1)
    switches = {name: recorded[pictures] for name, recorded in activations.switches.items()}
    starts = [(feature, *divmod(at, maps.shape[3])) for feature, at in zip(features, positions.tolist(), strict=True)]
    projections = down(chain, switches, layer, starts, values).cpu()
    return [
        Feature(feature, value, (row, col), chain.receptive_field(layer, row, col), projection)
        for (feature, row, col), value, projection in zip(starts, values.tolist(), projections, strict=True)
    ]


def _projected(
    checkpoint: Checkpoint, layer: int, wanted: Wanted, files: Iterator[tuple[int, PictureFile]], folder: Path
) -> Iterator[tuple[Decoded, Tile, Feature]]:
    """Every wanted place with its picture and its projection, in the order of the pictures."""
    chain, preprocessing = checkpoint.chain, checkpoint.record.preprocessing
    name, device = chain.features[layer - 1], next(chain.parameters()).device
    rounding = 1e-3 * max((place.activation for places in wanted.values() for place in places), default=0.0)
    chosen = ((number, file) for number, file in files if number in wanted)

    def unreadable(file: PictureFile, reason: str) -> None:
        raise ChangedPictures(file, folder) from ValueError(reason)

    for _, pictures in decoded_batches(chosen, preprocessing, PICTURES, unreadable):
        x = torch.stack([torch.from_numpy(p.pixels) for p in pictures]).to(device).permute(0, 3, 1, 2)
        activations = chain.run(preprocessing.standardise(x))
        todo = [(i, place) for i, picture in enumerate(pictures) for place in wanted[picture.number]]
        for start in range(0, len(todo), PROJECTIONS):
            part = todo[start : start + PROJECTIONS]
            projected = project_each(chain, activations, name, [(i, place.feature) for i, place in part])
            for (i, place), feature in zip(part, projected, strict=True):
                if abs(feature.activation - place.activation) > rounding:
                    raise ChangedPictures(pictures[i].file, folder)
                yield pictures[i], place, feature


def _saved(sheet: DrawnSheet | None, folder: Path, name: str) -> dict[str, str] | None:
    return None if sheet is None else {"file": name, "sha256": sheet.save(folder / name)}


def _entry(found: Strongest) -> dict[str, Any]:
    box = found.box
    return {
        "activation": float(f"{found.activation:.6g}"),
        "source": found.source,
        "class": found.label,
        "box": [box.top, box.left, box.bottom, box.right],
    }
