"""What tests of the explainer share."""

import torch

from zfnet_explainer.explanation import Explanation, Occlusion

CPU = torch.device("cpu")


def occlusion_of(explanation: Explanation) -> Occlusion:
    assert explanation.occlusion is not None
    return explanation.occlusion
