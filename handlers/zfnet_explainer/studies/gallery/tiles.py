"""The second pass: each strongest activation is projected to the pixels and drawn into its layer's sheets."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...messages import shown
from ...methods.deconvnet import Feature, project_each
from ...net.chain import Chain
from ...net.checkpoint import Checkpoint
from ...net.device import device_of
from ...pictures.atlas import Strongest
from ...pictures.display import patch_pixels, projection_pixels
from ...pictures.files import PictureFile
from ...pictures.stream import Decoded, decoded_batches
from .sheets import DrawnSheet, layout

PICTURES = 16  # at once: the memory of the pass


class ChangedPictures(ValueError):
    """A picture is not the one that was searched; the message says what to do."""

    def __init__(self, file: PictureFile, folder: Path) -> None:
        super().__init__(f"{shown(file.name)} has changed since it was searched: delete {folder} to begin anew")


@dataclass(frozen=True)
class Slot:
    """A place in a map's block of nine, by its rank 0 to 8, and the activation that the search found for it."""

    feature: int
    rank: int
    activation: float


Wanted = Mapping[int, Sequence[Slot]]  # by the picture's number


def wanted_slots(maps: Sequence[int], values: torch.Tensor, pictures: torch.Tensor) -> Wanted:
    """What the search found for these maps [maps of the layer, 9], by picture."""
    slots: dict[int, list[Slot]] = defaultdict(list)
    for feature in maps:
        for rank, (value, number) in enumerate(zip(values[feature].tolist(), pictures[feature].tolist(), strict=True)):
            if number >= 0:
                slots[number].append(Slot(feature, rank, value))
    return slots


@dataclass(frozen=True)
class LayerTask:
    """The maps of a layer that the atlas shows, what the search found for them, and whether patches are drawn too."""

    layer: int
    maps: Sequence[int]
    wanted: Wanted
    patches: bool


def build_layer(
    checkpoint: Checkpoint, task: LayerTask, files: Iterator[tuple[int, PictureFile]], folder: Path,
    advance: Callable[[int], None],
) -> dict[str, Any]:  # fmt: skip
    """Draw a layer's sheets into `folder` and return its entry in the atlas's index.

    `advance` is told how many tiles are done. Raises ChangedPictures.
    """
    shape = layout(largest_field(checkpoint.chain, task.layer), len(task.maps))
    projections, originals = DrawnSheet(shape), DrawnSheet(shape) if task.patches else None
    found: dict[int, dict[int, Strongest]] = {feature: {} for feature in task.maps}
    blocks = {feature: block for block, feature in enumerate(task.maps)}
    for picture, slot, feature in _projected(checkpoint, task.layer, task.wanted, files, folder):
        block, box = blocks[slot.feature], feature.receptive_field
        projections.put(block, slot.rank, box, projection_pixels(feature.projection, box))
        if originals:
            originals.put(block, slot.rank, box, patch_pixels(picture.pixels, box))
        source, of_class = shown(picture.file.name), shown(picture.file.folder)  # a name on disk may be no text
        found[slot.feature][slot.rank] = Strongest(slot.activation, source, of_class, box)
        advance(1)
    return {
        "layer": task.layer,
        "field": shape.field,
        "tile": shape.tile,
        "projections": _saved(projections, folder, f"layer{task.layer}.webp"),
        "patches": _saved(originals, folder, f"layer{task.layer}-patches.webp") if originals else None,
        "maps": [_map_entry(feature, by_rank) for feature, by_rank in found.items()],
    }


def largest_field(chain: Chain, layer: int) -> int:
    """The longest side that a receptive field of a layer's cells has, in pixels."""
    name = chain.features[layer - 1]
    vertical, horizontal = chain.axes[chain.spatial[chain.spatial.index(name) - 1]]
    rows = [chain.receptive_field(name, row, 0) for row in range(vertical.size_out)]
    cols = [chain.receptive_field(name, 0, col) for col in range(horizontal.size_out)]
    return max(*(box.height for box in rows), *(box.width for box in cols))


def _projected(
    checkpoint: Checkpoint, layer: int, wanted: Wanted, files: Iterator[tuple[int, PictureFile]], folder: Path
) -> Iterator[tuple[Decoded, Slot, Feature]]:
    """Every wanted slot with its picture and its projection, in the order of the pictures."""
    tolerance = _tolerance(wanted)
    chosen = ((number, file) for number, file in files if number in wanted)
    unreadable = partial(_refuse_unreadable, folder)
    for _, pictures in decoded_batches(chosen, checkpoint.record.preprocessing, PICTURES, unreadable):
        todo = [(i, slot) for i, picture in enumerate(pictures) for slot in wanted[picture.number]]
        features = _features(checkpoint, layer, pictures, [(i, slot.feature) for i, slot in todo])
        for (i, slot), feature in zip(todo, features, strict=True):
            if abs(feature.activation - slot.activation) > tolerance:
                raise ChangedPictures(pictures[i].file, folder)
            yield pictures[i], slot, feature


def _tolerance(wanted: Wanted) -> float:
    """How far a picture's activation may be from the one that the search found: the rounding of a device."""
    return 1e-3 * max((slot.activation for slots in wanted.values() for slot in slots), default=0.0)


def _refuse_unreadable(folder: Path, file: PictureFile, reason: str) -> None:
    raise ChangedPictures(file, folder) from ValueError(reason)


def _features(
    checkpoint: Checkpoint, layer: int, pictures: Sequence[Decoded], wanted: Sequence[tuple[int, int]]
) -> Iterator[Feature]:
    """Each wanted (picture, map of the layer) projected; only a few are in memory at a time."""
    chain = checkpoint.chain
    pixels = torch.stack([torch.from_numpy(picture.pixels) for picture in pictures]).to(device_of(chain))
    activations = chain.run(checkpoint.record.preprocessing.standardise(pixels.permute(0, 3, 1, 2)))
    return project_each(chain, activations, chain.features[layer - 1], wanted)


def _saved(sheet: DrawnSheet, folder: Path, name: str) -> dict[str, str]:
    return {"file": name, "sha256": sheet.save(folder / name)}


def _map_entry(feature: int, by_rank: Mapping[int, Strongest]) -> dict[str, Any]:
    return {"map": feature, "strongest": [_entry(by_rank[rank]) for rank in sorted(by_rank)]}


def _entry(strongest: Strongest) -> dict[str, Any]:
    return {
        "activation": float(f"{strongest.activation:.6g}"),
        "source": strongest.source,
        "class": strongest.folder,
        "box": astuple(strongest.box),
    }
