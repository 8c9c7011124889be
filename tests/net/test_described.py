"""A chain described and built again, through JSON."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zfnet_explainer.net.chain import as_chain
from zfnet_explainer.net.described import build, describe
from zfnet_explainer.net.layers import UnsupportedLayer

from ..chains import SMALL, chain_of, picture


@pytest.mark.parametrize("kind", SMALL)
def test_comes_back_as_it_was(kind: str) -> None:
    chain = SMALL[kind](0)
    through_json: list[dict[str, Any]] = json.loads(json.dumps(describe(chain)))
    back = build(through_json, chain.input_size)
    back.load_state_dict(chain.state_dict())
    back.eval()
    x = picture(chain)[None]
    assert torch.equal(back(x), chain(x))
    assert (back.features, back.axes, back.map_counts) == (chain.features, chain.axes, chain.map_counts)
    assert describe(back) == describe(chain)


def test_a_bias_may_be_left_out() -> None:
    chain = chain_of((3, 9, 9), nn.Conv2d(3, 4, 3, bias=False), nn.ReLU())
    back = build(describe(chain), chain.input_size)
    assert set(back.state_dict()) == set(chain.state_dict())
    assert "conv1.bias" not in back.state_dict()


def test_sizes_that_numpy_computed_are_numbers_in_json() -> None:
    three: Any = [3, 3]
    two, values, units = np.int64(2), np.prod((4, 3, 3)), 5
    layers: tuple[Any, ...] = nn.Conv2d(3, 4, three), nn.MaxPool2d(three, two), nn.Linear(values, units)  # type: ignore[arg-type]
    chain = as_chain(nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.Flatten(), layers[2]), (3, 9, 9))
    told: list[dict[str, Any]] = json.loads(json.dumps(describe(chain)))
    assert (told[2]["kernel_size"], told[2]["stride"], told[-1]["in_features"]) == ([3, 3], 2, 36)
    assert build(told, chain.input_size).axes == chain.axes


class Louder(nn.ReLU):
    """A layer of one's own."""


def test_a_layer_of_ones_own_is_refused_by_name() -> None:
    chain = chain_of((3, 9, 9), nn.Conv2d(3, 4, 3), nn.ReLU())
    chain.relu1 = Louder()
    with pytest.raises(UnsupportedLayer, match="relu1: a Louder of one's own"):
        describe(chain)


@pytest.mark.parametrize(
    "layer",
    [{"name": "a", "kind": "Module"}, {"name": "a"}, {"name": "a", "kind": "ReLU", "slope": 2}, {"kind": "ReLU"}],
)
def test_what_describes_no_layer_is_refused(layer: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError)):
        build([layer], (3, 9, 9))
