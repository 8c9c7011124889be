"""From a folder of pictures to an atlas: search, project layer by layer, publish; goes on where it was killed."""

import json
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from ...atomic import write_whole
from ...methods import deconvnet
from ...net.checkpoint import Checkpoint
from ...net.device import keeps_float32
from ...pictures.atlas import FORMAT, INDEX, Atlas, BadAtlas, load_atlas
from ...pictures.files import PictureFile, listing, picture_files, searched_folder
from ...pictures.stream import Tolerance
from .plan import Made, Plan, check_same, made_of
from .search import Search, run_search
from .tiles import LayerTask, build_layer, wanted_slots

UNFINISHED = "unfinished"
CONVENTIONS = {
    "strongest": "a map's nine largest activations over the pictures, at most one a picture, strongest first; ties to "
    "the earlier file; maps that are never active have fewer",
    "box": "the receptive field: top, left, bottom, right of the net's input, the last two outside it",
    "tiles": "blocks of three by three tiles, row by row, in the order of `maps`; `tile` pixels stand for `field`",
    "display": "mid-grey is zero; values are divided by the 99.5th percentile of their size in the receptive field",
}


def build(
    checkpoint: Checkpoint, data: Path, split: str, out: Path, plan: Plan, device: torch.device, progress: Progress,
    tolerance: Tolerance,
) -> Atlas:  # fmt: skip
    """Build the atlas `out` of these weights and pictures, unless it is there already.

    The state of the work lies in `out/unfinished` until all is done: a call with the same arguments goes on from it.
    Raises ValueError for a folder without pictures or with more that cannot be read than are tolerated, for a device
    that rounds float32; BadAtlas where another atlas lies there, finished or not, or a damaged one; ChangedPictures.
    """
    checkpoint = replace(checkpoint, chain=checkpoint.chain.placed(device))
    if not keeps_float32(device):
        raise ValueError(f"an atlas holds float32's values, which {device} rounds: build it with --device cpu")
    made = Made(checkpoint.record.weights_sha256, **asdict(listing(data, split)), **asdict(plan))
    there = load_atlas(out, checkpoint.record.weights_sha256)
    if there is None:
        work = _Work(checkpoint, data, split, out / UNFINISHED, made, progress, tolerance)
        _publish(work.index(), out)
        there = load_atlas(out, checkpoint.record.weights_sha256)
    if there is None:
        raise BadAtlas(f"{out}/{INDEX} vanished as soon as it was written")
    check_same(made_of(there, out), made, f"there is already an atlas in {out}")
    shutil.rmtree(out / UNFINISHED, ignore_errors=True)
    return there


def chosen_maps(counts: Sequence[int], sample: int | None, seed: int) -> list[list[int]]:
    """The maps of each layer that the atlas shows: all of the last, a seeded sample of each layer below."""
    below = [
        sorted(random.Random(f"{seed}, layer {layer}").sample(range(count), min(count, sample or count)))  # noqa: S311
        for layer, count in enumerate(counts[:-1], 1)
    ]
    return [*below, list(range(counts[-1]))]


@dataclass
class _Work:
    """What one build does; every finished step is on disk before the next begins."""

    checkpoint: Checkpoint
    data: Path
    split: str
    folder: Path
    made: Made
    progress: Progress
    tolerance: Tolerance
    unreadable: str = ""  # the last picture of which that was told

    def index(self) -> dict[str, Any]:
        """The atlas's index; its sheets lie in the work's folder."""
        search = self._search()
        maps = chosen_maps(self.checkpoint.chain.map_counts, self.made.sample, self.made.seed)
        layers = [self._layer(layer, chosen, search) for layer, chosen in enumerate(maps, 1)]
        return {
            "format": FORMAT,
            "weights_sha256": self.checkpoint.record.weights_sha256,
            "made": asdict(self.made),
            "classes": dict(sorted(search.classes.items())),
            "conventions": CONVENTIONS | deconvnet.CONVENTIONS,
            "layers": layers,
        }

    def _search(self) -> Search:
        state = self.folder / "search.safetensors"
        search = Search.load(state)
        if search is None:
            shutil.rmtree(self.folder, ignore_errors=True)  # sheets that a search left which is gone
            search = Search(self.checkpoint.chain.map_counts, self.made)
        check_same(search.made, self.made, f"there is an unfinished atlas in {self.folder}")
        task = self.progress.add_task("searching", total=self.made.count, completed=search.files)

        def save(done: Search) -> None:
            self.tolerance.check(done.files - done.classes.total(), self.made.count, self.unreadable)
            done.save(state)
            self.progress.update(task, completed=done.files)

        run_search(search, self.checkpoint, islice(self._files(), search.files, None), save, self._unreadable)
        return search

    def _layer(self, layer: int, maps: list[int], search: Search) -> dict[str, Any]:
        done = self.folder / f"layer{layer}.json"
        wanted = wanted_slots(maps, search.values[layer - 1], search.pictures[layer - 1])
        total = sum(len(slots) for slots in wanted.values())
        bar = self.progress.add_task(f"layer {layer}", total=total)
        if done.exists():
            self.progress.update(bar, completed=total)
            stored: dict[str, Any] = json.loads(done.read_text())
            return stored
        with torch.inference_mode():
            entry = build_layer(
                self.checkpoint, LayerTask(layer, maps, wanted, self.made.patches), self._files(), self.folder,
                lambda tiles: self.progress.advance(bar, tiles),
            )  # fmt: skip
        _write(done, entry)
        return entry

    def _files(self) -> Iterator[tuple[int, PictureFile]]:
        return enumerate(picture_files(self.data, self.split))

    def _unreadable(self, _: PictureFile, reason: str) -> None:
        self.unreadable = reason
        self.tolerance.leave_out(reason)


def check_outside(out: Path, data: Path, split: str) -> None:
    """Raise ValueError for an atlas in the folder that is searched: its sheets would be pictures, too."""
    pictures = searched_folder(data, split)
    if out.resolve().is_relative_to(pictures.resolve()):
        raise ValueError(f"the atlas {out} would lie inside {pictures}: name with --out a folder outside the pictures")


def _publish(index: dict[str, Any], out: Path) -> None:
    """Put a finished atlas into its place, its index last."""
    for entry in index["layers"]:
        for sheet in (entry["projections"], entry["patches"]):
            if sheet is not None:
                shutil.copyfile(out / UNFINISHED / sheet["file"], out / sheet["file"])
    _write(out / INDEX, index)


def _write(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    write_whole(path, f"{text}\n".encode())
