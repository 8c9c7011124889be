"""An explanation beside what Captum answers to the same questions about the same weights."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .explanation import Agreement, CrossCheck, LayerProjections, Occlusion
from .methods import captum
from .net.chain import Chain


@torch.inference_mode(False)
def crosscheck(
    chain: Chain,
    image: Tensor,
    deconv: Sequence[LayerProjections] | None,
    occlusion: Occlusion | None,
    fill: Tensor | None,
    classes: Sequence[int],
    keeps_float32: bool,
) -> CrossCheck:
    """Compare what was asked for: the projections, and the occlusion maps of these classes.

    `image`, and `fill` where there is occlusion, are standardised pictures [channels, height, width].
    """
    projections = maps = None
    by_class: dict[int, float] = {}
    if deconv is not None:
        found = {chain.features[part.layer - 1]: list(part.features) for part in deconv}
        projections = Agreement(captum.check_deconv(chain, image, found), keeps_float32)
    if occlusion is not None and fill is not None:
        by_class = _by_class(chain, image, occlusion, fill, classes)
        maps = Agreement(max(by_class.values()), occlusion.exact)
    return CrossCheck(*captum.library(), projections, maps, by_class, captum.CONVENTIONS)


def _by_class(
    chain: Chain, image: Tensor, occlusion: Occlusion, fill: Tensor, classes: Sequence[int]
) -> dict[int, float]:
    differences = captum.check_occlusion(
        chain,
        image,
        fill,
        occlusion.squares,
        temperature=occlusion.temperature,
        classes=classes,
        covered=[torch.from_numpy(occlusion.probability(index)) for index in classes],
        unoccluded=[float(occlusion.probabilities_unoccluded[index]) for index in classes],
    )
    return dict(zip(classes, differences, strict=True))
