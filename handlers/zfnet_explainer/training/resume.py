"""Whether a run's folder holds this run, and what a run begins with."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from ..messages import QUOTE
from .log import read_log
from .state import About, digest, read_about

DIFFERENT = 3  # entries of a recipe that a message names


def epochs_done(out: Path, about: About) -> int:
    """How many epochs the run in `out` has done, where it is this one. Raises ValueError for another."""
    found = read_about(out)
    elsewhere = f"choose another folder, which may begin with its weights (--start {out}), or remove it"
    if found["recipe"].keys() != about["recipe"].keys():
        raise ValueError(
            f"{out} holds a run that another version began, whose recipe has other entries: finish it with that "
            f"version, or {elsewhere}"
        )
    if found["recipe"] != about["recipe"]:
        differences = "; ".join(_differences(found["recipe"], about["recipe"]))
        raise ValueError(f"{out} holds the run of another recipe ({differences}): {elsewhere}")
    for part, what in (("data", "other pictures"), ("start", "another --start")):
        if found.get(part) != about[part]:
            raise ValueError(f"{out} holds the run of {what}: {elsewhere}")
    return cast(int, found["epoch"])


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    different = [name for name in here if there[name] != here[name]]
    told = [f"{name} {QUOTE.repr(there[name])} there, {QUOTE.repr(here[name])} here" for name in different[:DIFFERENT]]
    return [*told, *(["..."] if len(different) > DIFFERENT else [])]


def fingerprint(names: tuple[str, ...]) -> str:
    """sha256 of the names of all pictures, which hold their classes."""
    return sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()


def started(out: Path) -> About:
    """What the record says of the run that this one begins with. Raises ValueError where there is none."""
    about = read_about(out)
    rows = read_log(out)[: about["epoch"]]
    return {"sha256": digest(out), "recipe": about["recipe"], "log": rows, "start": about.get("start")}


def held_back_at_least(about: About) -> float:
    """The smallest share that any of the runs which led to these weights held back."""
    return min(float(run["recipe"].get("hold_back", 0)) for run in _runs(about))


def _runs(about: About | None) -> Iterator[About]:
    while about:
        yield about
        about = about.get("start")
