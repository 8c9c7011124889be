"""What an atlas is to hold, and whether one that lies there holds it: none is replaced by another."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ...pictures.atlas import INDEX, Atlas, BadAtlas, bad
from ...pictures.files import Listing


@dataclass(frozen=True)
class Plan:
    """What the atlas is to hold: maps drawn below the last layer (None: all), by which seed; patches or none."""

    sample: int | None
    seed: int
    patches: bool


@dataclass(frozen=True)
class Made:
    """`made` of an atlas's index: the hash of the weights, the listing of the pictures, the plan."""

    weights_sha256: str
    count: int
    digest: str
    sample: int | None
    seed: int
    patches: bool


def made_of(atlas: Atlas, folder: Path) -> Made:
    """What the atlas in `folder` is made of. Raises BadAtlas where its index does not say it."""
    try:
        return Made(**atlas.index["made"])
    except (KeyError, TypeError) as error:
        raise bad(folder, f"is damaged ({INDEX}: {error!r})") from error


def check_pictures(atlas: Atlas, found: Listing, folder: Path) -> None:
    """Raise BadAtlas where the atlas in `folder` is of other pictures than were found."""
    made = made_of(atlas, folder)
    check_same(made, replace(made, **asdict(found)), f"there is already an atlas in {folder}")


def check_same(theirs: Made, wanted: Made, there: str) -> None:
    """Raise BadAtlas, which says what is there and what differs, where it was made of or for something else."""
    if theirs == wanted:
        return
    pairs = zip(_described(theirs), _described(wanted), strict=True)
    differing = "; ".join(f"{has}, not {asked}" for has, asked in pairs if has != asked)
    raise BadAtlas(f"{there}, of {differing}: ask for the same, delete it, or name another folder with --out")


def _described(made: Made) -> tuple[str, ...]:
    """The parts of which any may differ, each in words."""
    return (
        f"weights {made.weights_sha256[:12]}...",
        f"{made.count:,} pictures (digest of their names: {made.digest[:12]}...)",
        "all maps" if made.sample is None else f"{made.sample} maps a layer",
        f"seed {made.seed}",
        "patches" if made.patches else "no patches",
    )
