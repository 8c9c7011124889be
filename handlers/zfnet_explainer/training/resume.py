"""Whether a run's folder holds this run, and what a run begins with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from ..messages import QUOTE
from ..net.record import Preprocessing
from .log import read_log, runs_of
from .recipe import Recipe
from .state import Metadata, digest, read_metadata, unusable

DIFFERENT = 3  # entries of a recipe that a message names
PLACES = {  # where the parts of a run's metadata come from
    "epoch": "OUT", "recipe": "the options or the processors' precisions", "data": "DATA", "start": "--start",
    "preprocessing": "the mean and deviation of DATA",
}  # fmt: skip


def as_stored(recipe: Recipe) -> dict[str, Any]:
    """A recipe as a state's JSON has it."""
    return cast(dict[str, Any], json.loads(json.dumps(asdict(recipe))))


def epochs_done(out: Path, metadata: Metadata) -> int:
    """How many epochs the run in `out` has done, where it is this one. Raises ValueError for another."""
    check_recipe(out, metadata["recipe"])
    found = read_metadata(out)
    for part, what in (("data", "other pictures"), ("start", "another --start")):
        if found.get(part) != metadata[part]:
            raise ValueError(f"{out} holds the run of {what}: {_elsewhere(out)}")
    return cast(int, found["epoch"])


def read_preprocessing(out: Path) -> Preprocessing | None:
    """That of the run in `out`, None where its state does not say. Raises ValueError where it cannot be one."""
    found = read_metadata(out).get("preprocessing")
    if found is None:
        return None
    try:
        return Preprocessing(**found | {"mean": tuple(found["mean"]), "std": tuple(found["std"])})
    except (KeyError, TypeError, ValueError) as error:
        raise unusable(out, f"preprocessing: {error!r}") from error


def check_same(runs: Sequence[Metadata]) -> None:
    """Raise ValueError where what processes see of a run differs, as on machines that share no folder."""
    if different := [PLACES[part] for part in runs[0] if any(run[part] != runs[0][part] for run in runs)]:
        raise ValueError(
            f"the processes differ in {', '.join(different)}: give all machines the same command, and folders that "
            "they share"
        )


def check_recipe(out: Path, recipe: Mapping[str, Any]) -> None:
    """Raise ValueError where the run in `out` has another one than this, as JSON has it."""
    found = read_metadata(out)["recipe"]
    if found.keys() != recipe.keys():
        raise ValueError(
            f"{out} holds a run that another version began, whose recipe has other entries: finish it with that "
            f"version, or {_elsewhere(out)}"
        )
    if found != recipe:
        differences = "; ".join(_differences(found, recipe))
        raise ValueError(f"{out} holds the run of another recipe ({differences}): {_elsewhere(out)}")


def _elsewhere(out: Path) -> str:
    return f"choose another folder, which may begin with its weights (--start {out}), or remove it"


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    different = [name for name in here if there[name] != here[name]]
    told = [f"{name} {QUOTE.repr(there[name])} there, {QUOTE.repr(here[name])} here" for name in different[:DIFFERENT]]
    return [*told, *(["..."] if len(different) > DIFFERENT else [])]


def fingerprint(names: tuple[str, ...]) -> str:
    """sha256 of the names of all pictures, which hold their classes."""
    return sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()


def started(out: Path) -> Metadata:
    """What the record says of the run that this one begins with. Raises ValueError where there is none."""
    metadata = read_metadata(out)
    rows = read_log(out)[: metadata["epoch"]]
    return {"sha256": digest(out), "recipe": metadata["recipe"], "log": rows, "start": metadata.get("start")}


def held_back_at_least(start: Metadata) -> float:
    """The smallest share that any of the runs which led to these weights held back."""
    return min(float(run["recipe"].get("hold_back", 0)) for run in runs_of(start))
