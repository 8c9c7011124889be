"""The nine strongest activations of every map over a stream of pictures, at most one a picture."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from ...atomic import write_whole
from ...messages import shown
from ...net.chain import Chain
from ...net.checkpoint import Checkpoint
from ...net.device import device_of
from ...pictures.atlas import NINE
from ...pictures.files import PictureFile
from ...pictures.stream import decoded_batches
from .plan import Made

BATCH = 32


class Search:
    """What has been found so far: per layer the nine largest values [maps, 9] and the numbers of their pictures.

    A place that no picture has taken yet is 0 with picture -1: only positive activations count. Equal values stand
    in the order of their pictures. `files` is how many files have been gone through, `classes` counts the pictures
    among them by class. `made` says what is searched, and for which atlas.
    """

    def __init__(self, map_counts: tuple[int, ...], made: Made) -> None:
        self.made = made
        self.values = [torch.zeros(count, NINE) for count in map_counts]
        self.pictures = [torch.full((count, NINE), -1) for count in map_counts]
        self.files = 0
        self.classes: Counter[str] = Counter()

    def add(self, numbers: list[int], largest: list[Tensor]) -> None:
        """Take in later pictures: their numbers, ascending, and per layer each map's largest value [pictures, maps]."""
        for layer, values in enumerate(largest):
            maps = len(self.values[layer])
            candidates = torch.cat([self.values[layer], values.T], 1)
            owners = torch.cat([self.pictures[layer], torch.tensor(numbers).expand(maps, -1)], 1)
            order = torch.sort(candidates, dim=1, descending=True, stable=True).indices[:, :NINE]
            self.values[layer], self.pictures[layer] = candidates.gather(1, order), owners.gather(1, order)

    def save(self, path: Path) -> None:
        """Write the state of the search; the file is the old one or the new one, never a part."""
        tensors = {f"values.{i}": v for i, v in enumerate(self.values)}
        tensors |= {f"pictures.{i}": p for i, p in enumerate(self.pictures)}
        about = {"made": asdict(self.made), "files": self.files, "classes": self.classes}
        content = serialised({name: t.contiguous() for name, t in tensors.items()}, {"search": json.dumps(about)})
        write_whole(path, content)

    @classmethod
    def load(cls, path: Path) -> "Search | None":
        """The state of a search; None where there is none. Raises ValueError where it is damaged."""
        if not path.exists():
            return None
        try:
            return cls._stored(path)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is damaged ({error!r}): delete {path.parent} to begin anew") from error

    @classmethod
    def _stored(cls, path: Path) -> "Search":
        with safe_open(path, "pt") as stored:
            about = json.loads(stored.metadata()["search"])
            search = cls((), Made(**about["made"]))
            layers = range(len(stored.keys()) // 2)
            search.values = [stored.get_tensor(f"values.{i}") for i in layers]
            search.pictures = [stored.get_tensor(f"pictures.{i}") for i in layers]
        search.files, search.classes = about["files"], Counter(about["classes"])
        return search


@torch.inference_mode()
def run_search(
    search: Search,
    checkpoint: Checkpoint,
    files: Iterator[tuple[int, PictureFile]],
    save: Callable[[Search], None],
    unreadable: Callable[[PictureFile, str], None],
) -> None:
    """Go through the files (those that the search has not had) and save it after every batch."""
    chain, preprocessing = checkpoint.chain, checkpoint.record.preprocessing
    device = device_of(chain)
    for taken, pictures in decoded_batches(files, preprocessing, BATCH, unreadable):
        if pictures:
            x = torch.stack([torch.from_numpy(p.pixels) for p in pictures]).to(device).permute(0, 3, 1, 2)
            search.add([p.number for p in pictures], largest(chain, preprocessing.standardise(x)))
            search.classes.update(shown(p.file.folder) for p in pictures)
        search.files += taken
        save(search)


def largest(chain: Chain, x: Tensor) -> list[Tensor]:
    """Per feature layer each map's largest value [pictures, maps], on the CPU; what stands above is not evaluated."""
    outputs = chain.outputs(x, upto=chain.features[-1])
    return [maps.flatten(2).amax(2).cpu() for name, maps in outputs if name in chain.features]
