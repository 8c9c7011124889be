"""What an atlas is to hold, and whether one that lies there holds it: none is replaced by another."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...pictures.atlas import BadAtlas

Made = Mapping[str, Any]  # `made` of an atlas's index: the hash of the weights, the listing of the pictures, the plan


@dataclass(frozen=True)
class Plan:
    """What the atlas is to hold: maps drawn below the last layer (None: all), by which seed; patches or none."""

    sample: int | None
    seed: int
    patches: bool


def check_same(theirs: Made, wanted: Made, folder: Path) -> None:
    """Raise BadAtlas, which says what differs, where `folder` holds what was made of or for something else."""
    if theirs == wanted:
        return
    pairs = zip(_described(theirs), _described(wanted), strict=True)
    differing = "; ".join(f"{there}, not {asked}" for there, asked in pairs if there != asked)
    raise BadAtlas(
        f"there is already an atlas in {folder}, of {differing}: ask for the same, delete it, or name another folder "
        "with --out"
    )


def _described(made: Made) -> tuple[str, ...]:
    """The parts of which any may differ, each in words."""
    sample = made["sample"]
    return (
        f"weights {made['weights_sha256'][:12]}...",
        f"{made['count']:,} pictures (digest of their names: {made['digest'][:12]}...)",
        "all maps" if sample is None else f"{sample} maps a layer",
        f"seed {made['seed']}",
        "patches" if made["patches"] else "no patches",
    )
