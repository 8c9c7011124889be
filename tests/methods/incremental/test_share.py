"""Incremental or in full, by how much of the picture a square changes: exact either way."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from zfnet_explainer.methods.incremental import occluder
from zfnet_explainer.methods.incremental.occluder import Occluder
from zfnet_explainer.methods.incremental.plan import Way
from zfnet_explainer.methods.occlusion import occlude_full
from zfnet_explainer.methods.squares import Squares, squares
from zfnet_explainer.net.chain import Chain, as_chain
from zfnet_explainer.net.checkpoint import load

from ...chains import picture, seeded
from ...samples import MODEL_STORE, SAMPLE


def spread(window: int) -> Squares:
    """Squares in the corners, at the edges and within."""
    starts = tuple(sorted({0, (224 - window) // 3, 224 - window}))
    return Squares(window, 1, starts, starts)


@pytest.mark.parametrize("window", [8, 144, 160, 224])
def test_the_shipped_net_is_exact_at_any_window(window: int) -> None:
    """Within 1e-5 of the largest logit in float64, though what is left of the picture gives ever smaller ones."""
    chain = load(MODEL_STORE / "zfnet.safetensors").chain
    pixels = np.array(Image.open(SAMPLE).convert("RGB").resize((224, 224)))
    image = (torch.from_numpy(pixels).permute(2, 0, 1).double() - 115) / 70
    fill, grid = torch.zeros_like(image), spread(window)
    exact = occlude_full(copy.deepcopy(chain).double(), image, fill, grid, "relu5", 3)
    image, fill = image.float(), fill.float()
    found = Occluder(chain)(image, chain.run(image[None]), fill, grid, "relu5", 3)
    assert float((found.logits - exact.logits).abs().max()) <= 1e-5 * float(exact.logits.abs().max())
    torch.testing.assert_close(
        found.feature_activity.double(),
        exact.feature_activity,
        rtol=1e-4,
        atol=1e-5 * float(exact.feature_activity.max()),
    )


@pytest.mark.parametrize(("window", "in_full"), [(8, False), (144, False), (160, True), (224, True)])
def test_squares_that_change_nearly_all_go_through_the_whole_net(
    random_zfnet: Chain, window: int, in_full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, fill, grid = picture(random_zfnet, 1), picture(random_zfnet, 2), spread(window)
    clean = random_zfnet.run(image[None])
    batches = []

    def noting(*arguments: object) -> object:
        batches.append(arguments[-1])
        return occlude_full(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(occluder, "occlude_full", noting)
    Occluder(random_zfnet, memory=30 << 20)(image, clean, fill, grid, "relu5", 0)
    assert batches == ([3] if in_full else []), "conv1 gives 4.5 MiB a picture, and is held twice"


class Largest(TorchFunctionMode):
    """Notes the bytes of the largest tensor that a function gives."""

    nbytes = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        if isinstance(found, Tensor):
            self.nbytes = max(self.nbytes, found.nbytes)
        return found


@pytest.mark.parametrize(
    ("stem", "window", "way"),
    [((3, 1), 8, Way.ONE_GROUP), ((16, 16), 40, Way.FULL)],
    ids=["a last map as large as the picture", "pictures larger than every map"],
)
def test_memory_is_bounded_where_a_net_pools_little(stem: tuple[int, int], window: int, way: Way) -> None:
    """However many squares there are, what is written out for them is no more than the bound."""
    net = nn.Sequential(nn.Conv2d(3, 4, *stem), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    net(torch.zeros(1, 3, 64, 64))
    chain = as_chain(seeded(net, 0), (3, 64, 64))
    image, fill, grid = picture(chain, 1), picture(chain, 2), squares(64, 64, window, 2)
    clean = chain.run(image[None])
    memory = 1 << 20
    one = Occluder(chain, memory)
    assert one.way_for(grid) is way
    with Largest() as largest:
        one(image, clean, fill, grid, chain.features[-1], 0)
    assert memory // 4 < largest.nbytes <= memory
