"""A precision that a picture's activations do not fit in: the option's fault, whatever shape the request has."""

import base64
import json

import pytest
import torch

from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits

from ..chains import like_zfnet
from ..explained import SIDE, record
from ..samples import encoded, noise
from ..served import sent

OPTIONS = {"precision": "float16", "window": "18", "stride": "18", "layer": "3"}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """On a processor that has float16, with activations beyond it."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_fp16": True})
    chain = like_zfnet(size=(3, SIDE, SIDE))
    for name in ("conv1.weight", "conv1.bias"):
        chain.get_parameter(name).mul_(1e5)
    return Service(Explainer(Checkpoint(chain, record(5, SIDE)), torch.device("cpu")), "a", "1", Limits())


def test_a_form_is_told_which_precision_to_ask_for(service: Service) -> None:
    [answer] = service.answer([sent({"data": encoded(noise()), **OPTIONS}, explain=True)], ["one"])
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"], error["option"]) == (400, "invalid_option", "precision")
    assert error["message"].endswith("ask for float32")


def test_an_instance_is_told_in_its_place(service: Service) -> None:
    picture = base64.b64encode(encoded(noise())).decode()
    body = {"instances": [{"data": {"b64": picture}}], "parameters": OPTIONS}
    [answer] = service.answer([sent({"body": body}, explain=True, kserve=True)], ["one"])
    [found] = json.loads(answer.body)["explanations"]
    assert (answer.status, found["error"]["code"], found["error"]["option"]) == (400, "invalid_option", "precision")
