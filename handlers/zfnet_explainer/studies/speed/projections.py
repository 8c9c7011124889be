"""Nine projections of the last layer side by side with Captum's NeuronDeconvolution."""

import warnings
from dataclasses import dataclass
from statistics import median

import torch
from captum.attr import NeuronDeconvolution

from ...methods.deconvnet import Feature, project, strongest
from ...net.device import seconds
from . import contenders

FEATURES = 9


@dataclass(frozen=True)
class ProjectionsRow:
    """Median seconds for nine projections, the picture's own evaluation included, ours and Captum's."""

    net: str
    ours: float
    captum: float

    @property
    def over_captum(self) -> float:
        return self.captum / self.ours


def measure(net: str, on: contenders.Timed, repeats: int) -> ProjectionsRow:
    """Time both, interleaved, on the maps that answer most to the picture."""
    layer = on.chain.features[-1]
    plain = contenders.plain(on.chain)
    attribution = NeuronDeconvolution(plain, plain.get_submodule(layer))
    found = _ours(on, layer)

    def captum() -> None:
        for feature in found:
            attribution.attribute(on.image[None].clone().requires_grad_(), (feature.feature, *feature.position))

    times: tuple[list[float], list[float]] = ([], [])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting (forward, )?backward hooks", UserWarning)
        captum()
        for _ in range(repeats):
            times[0].append(seconds(lambda: _ours(on, layer), on.image.device))
            times[1].append(seconds(captum, on.image.device))
    return ProjectionsRow(net, median(times[0]), median(times[1]))


@torch.inference_mode()
def _ours(on: contenders.Timed, layer: str) -> list[Feature]:
    clean = on.chain.run(on.image[None])
    return project(on.chain, clean, layer, strongest(clean.outputs[layer][0], FEATURES))
