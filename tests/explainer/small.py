"""What tests of the explainer share."""

import torch

from zfnet_explainer.explanation import Explanation, Occlusion
from zfnet_explainer.net.precision import supported_precisions

from ..needs import hardware

CPU = torch.device("cpu")
BFLOAT16 = hardware("bfloat16" in supported_precisions(CPU), "a processor with bfloat16")


def occlusion_of(explanation: Explanation) -> Occlusion:
    assert explanation.occlusion is not None
    return explanation.occlusion
