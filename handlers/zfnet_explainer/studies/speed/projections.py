"""Nine projections of the last layer side by side with Captum's NeuronDeconvolution."""

import warnings
from dataclasses import dataclass
from functools import partial

import torch
from captum.attr import NeuronDeconvolution

from ...methods.deconvnet import Feature, project, strongest
from . import contenders
from .interleaved import medians

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

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting (forward, )?backward hooks", UserWarning)
        times = medians({"ours": partial(_ours, on, layer), "captum": captum}, on.image.device, repeats)
    return ProjectionsRow(net, **times)


@torch.inference_mode()
def _ours(on: contenders.Timed, layer: str) -> list[Feature]:
    clean = on.chain.run(on.image[None])
    return project(on.chain, clean, layer, strongest(clean.outputs[layer][0], FEATURES))
