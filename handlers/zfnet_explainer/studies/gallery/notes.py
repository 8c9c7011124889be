"""The numbers behind the three notes of Figure 2's text: grouping, invariance, exaggeration."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...explainer import Explainer
from ...explanation import Pixels
from ...net.checkpoint import Checkpoint
from ...pictures.atlas import NINE, Atlas
from ..statistics import percent_interval
from ..tables import Table, percent
from .exaggeration import Exaggeration, Shares, exaggeration
from .grouping import Grouping, chance, grouping
from .invariance import CHANGES, Moved, invariance

UNITS = {"shift": "{} pixels down", "scale": "{} times as large", "rotation": "{} degrees turned"}


@dataclass(frozen=True)
class Notes:
    """What was found; `chance` is the purity of nine pictures drawn blindly, None where there are too few.

    `exaggeration` is None where fewer than two pictures excite the last layer.
    """

    sample: int
    grouping: list[Grouping]
    chance: float | None
    invariance: list[Moved]
    exaggeration: Exaggeration | None


def take_notes(
    atlas: Atlas, checkpoint: Checkpoint, explainer: Explainer, sample: Sequence[Pixels], seed: int
) -> Notes:
    """Grouping of the atlas's maps, invariance and exaggeration over a sample of at least two pictures."""
    classes = atlas.index["classes"]
    several = len(classes) > 1 and sum(classes.values()) >= NINE
    return Notes(
        len(sample),
        grouping(atlas, seed) if several else [],
        chance(classes, seed) if several else None,
        invariance(checkpoint, sample),
        exaggeration(explainer, sample, seed),
    )


def note_tables(notes: Notes) -> list[Table]:
    """The notes as tables named grouping, invariance and exaggeration; those that could not be taken are left out."""
    grouped = [_grouping(notes.grouping, notes.chance)] if notes.chance is not None else []
    exaggerated = [_exaggeration(notes.exaggeration)] if notes.exaggeration is not None else []
    return [*grouped, _invariance(notes.invariance, notes.sample), *exaggerated]


def _grouping(found: Sequence[Grouping], chance: float) -> Table:
    rows = [(str(one.layer), str(one.maps), percent_interval(one.purity), percent(chance)) for one in found]
    return Table(
        "grouping",
        "Grouping: do a map's nine strongest pictures belong together?",
        ("layer", "maps", "class purity of the nine (95 % interval)", "nine drawn blindly"),
        tuple(rows),
        "Class purity: share of the nine pictures that are of their most frequent class, mean over the maps.",
    )


def _invariance(found: Sequence[Moved], pictures: int) -> Table:
    distances = {(one.layer, one.change, one.amount): one.distance for one in found}
    layers = sorted({one.layer for one in found})
    rows = [
        (UNITS[change].format(amount), *(f"{distances[layer, change, amount]:.2f}" for layer in layers))
        for change, amounts in CHANGES.items()
        for amount in amounts
    ]
    return Table(
        "invariance",
        "Invariance: how far do features move when the picture is changed?",
        ("change", *(f"layer {layer}" for layer in layers)),
        tuple(rows),
        f"0: not at all; 1: as far as to another picture's features. Mean over {pictures} pictures.",
    )


def _exaggeration(exaggeration: Exaggeration) -> Table:
    regions = {"the picture's own": exaggeration.own, "another picture's": exaggeration.anothers}
    return Table(
        "exaggeration",
        "Exaggeration: how much of a projection lies where the class is recognised?",
        ("most sensitive region", "share of the projection's energy", "share if it were spread evenly", "ratio"),
        tuple((name, *_shares(shares)) for name, shares in regions.items()),
        f"Strongest map of the last layer in each of {exaggeration.pictures} pictures; the region is the union of the "
        "tenth of the occlusion squares that lower the predicted class's probability most.",
    )


def _shares(shares: Shares) -> tuple[str, str, str]:
    ratio = "–" if shares.ratio is None else f"{shares.ratio:.2f}"
    return percent_interval(shares.energy), percent_interval(shares.area), ratio
