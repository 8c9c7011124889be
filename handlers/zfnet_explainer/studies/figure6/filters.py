"""How good the first two layers of a net are, in numbers (Figure 6, sections 3 and 4.1 of the paper)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...methods.deconvnet import Feature, project
from ...net.chain import Chain
from ...net.device import device_of
from ...net.record import Preprocessing
from ...pictures.labelled import Pictures
from ..first_layer import first_layer, high_share

BATCH = 64
DEAD = 0.01
EVERY = 4


@dataclass(frozen=True)
class Peaks:
    """The largest value of each map of a layer over all pictures, and the index of its picture: [maps]."""

    values: Tensor
    pictures: Tensor

    @property
    def dead(self) -> Tensor:
        """Which maps are dead: none of the pictures brings them to a hundredth of what the layer's median map reaches.

        A map that is never above zero is dead; so is one whose filter is too weak beside the others to matter to the
        next layer.
        """
        return self.values <= DEAD * self.values.median()


@dataclass(frozen=True)
class Numbers:
    """What Figure 6 shows, as numbers: dead maps of layers 1 and 2 and of how many, see `Peaks.dead`.

    `largest`, `dominance`: of the filters of layer 1, see `FirstLayer`.
    `high_filters`, `high_projections`: mean share of high frequencies, see `high_share`, in the filters of layer 1
    and in projections of layer 2; None of a net whose layer 2 is dead.
    """

    dead: tuple[int, int]
    maps: tuple[int, int]
    largest: float
    dominance: float
    high_filters: float
    high_projections: float | None


def numbers(chain: Chain, peaks: tuple[Peaks, Peaks], projected: list[Feature]) -> Numbers:
    """Measure a chain: its first filters, the peaks of its layers 1 and 2, and projections of layer 2."""
    first = first_layer(chain)
    shares = [high_share(seen(feature)[None]) for feature in projected]
    return Numbers(
        dead=(int(peaks[0].dead.sum()), int(peaks[1].dead.sum())),
        maps=(len(peaks[0].values), len(peaks[1].values)),
        largest=first.largest,
        dominance=first.dominance,
        high_filters=first.high,
        high_projections=float(torch.cat(shares).mean()) if shares else None,
    )


def seen(feature: Feature) -> Tensor:
    """A projection cut to its receptive field [channels, height, width]."""
    return feature.projection[:, *feature.receptive_field.slices]


@torch.inference_mode()
def find_peaks(chain: Chain, pictures: Pictures, preprocessing: Preprocessing) -> tuple[Peaks, Peaks]:
    """The peaks of feature layers 1 and 2 over the pictures, ties to the earlier one."""
    found: list[list[Tensor]] = [[], []]
    for images in _batches(chain, pictures, preprocessing):
        for name, maps in chain.outputs(images, upto=chain.features[1]):
            if name in chain.features:
                found[chain.features.index(name)].append(maps.amax((2, 3)).cpu())
    first, second = (Peaks(*torch.cat(values).max(0)) for values in found)
    return first, second


@torch.inference_mode()
def project_peaks(chain: Chain, pictures: Pictures, preprocessing: Preprocessing, peaks: Peaks) -> list[Feature]:
    """Project every fourth live map of layer 2 from its peak, in the maps' order."""
    device = device_of(chain)
    wanted: dict[int, list[int]] = {}
    for feature in torch.nonzero(~peaks.dead).flatten()[::EVERY].tolist():
        wanted.setdefault(int(peaks.pictures[feature]), []).append(feature)
    projected: list[Feature] = []
    for index, features in wanted.items():
        image = preprocessing.standardise(pictures.picture(index).to(device))
        projected += project(chain, chain.run(image[None]), chain.features[1], features)
    return sorted(projected, key=lambda feature: feature.feature)


def _batches(chain: Chain, pictures: Pictures, preprocessing: Preprocessing) -> Iterator[Tensor]:
    device = device_of(chain)
    for start in range(0, len(pictures), BATCH):
        images = pictures.images[start : start + BATCH].to(device)
        yield preprocessing.standardise(images).contiguous(memory_format=torch.channels_last)
