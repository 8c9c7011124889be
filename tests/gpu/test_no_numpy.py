"""Every answer is drawn and written from the CPU's memory: a tensor that is on a card has no numpy()."""

import base64
import copy
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits

from ..samples import encoded, noise
from ..served import SMALL, checkpoint, sent


class OnACard(Tensor):
    """As a card's tensors are to numpy: whatever is computed from one is one, until it is fetched."""

    def cpu(self, *_: Any, **__: Any) -> Tensor:
        return self.detach().as_subclass(Tensor).clone()

    def numpy(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    __array__ = numpy


@pytest.fixture(scope="module")
def service() -> Service:
    explainer = Explainer(Checkpoint(copy.deepcopy(checkpoint().chain), checkpoint().record), torch.device("cpu"))
    for module in explainer.chain.modules():
        for name, weight in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(weight.as_subclass(OnACard), requires_grad=False))
    return Service(explainer, "zfnet", "1.0.0", Limits())


def test_what_is_computed_there_has_no_numpy(service: Service) -> None:
    """Or the other tests could not fail."""
    found = service.explainer.chain.run(torch.zeros(1, 3, 224, 224)).outputs["relu5"]
    with pytest.raises(TypeError, match="cuda"):
        np.asarray(found)
    with pytest.raises(TypeError, match="cuda"):
        found.numpy()
    assert np.asarray(found.cpu()).shape == found.shape


@pytest.mark.parametrize("form", ["json", "png", "npz", "html"])
def test_every_format(service: Service, form: str) -> None:
    asked = sent({"data": encoded(noise()), **SMALL, "format": form}, explain=True)
    [answer] = service.answer([asked], ["one"])
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("explain", [False, True], ids=["predict", "explain"])
def test_predictions_and_kserves_shapes(service: Service, explain: bool) -> None:
    picture = base64.b64encode(encoded(noise())).decode()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [picture]}
    options = {"parameters": SMALL} if explain else {}
    v1 = sent({"body": {"instances": [{"data": {"b64": picture}}], **options}}, explain, kserve=True)
    v2 = sent({"body": {"inputs": [tensor], **options}}, explain, kserve=True)
    plain = sent({"data": encoded(noise())}, explain=False)
    for answer in service.answer([v1, v2, plain], ["v1", "v2", "plain"]):
        assert answer.status == 200, answer.body
        assert b'"error"' not in answer.body
