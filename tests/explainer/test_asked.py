"""What an explainer may be asked, and what it takes where nothing is."""

import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zfnet_explainer import UnusableOption
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import Pixels
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.options import Options

from ..chains import like_zfnet
from ..explained import OPTIONS, SIDE, record
from ..samples import noise
from .small import CPU, occlusion_of


def test_the_last_layer_is_explained_where_none_is_named(explainer: Explainer, pixels: Pixels) -> None:
    deconv = explainer.explain(pixels, Options(methods=frozenset({"deconv"}), features=2)).deconv
    assert deconv is not None
    assert [part.layer for part in deconv] == [len(explainer.chain.features)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((38, 38, 3), np.uint8), r"uint8 \[38, 38, 3\]"),
        (np.zeros((SIDE, SIDE, 3), np.float32), r"float32 \[37, 37, 3\]"),
        (np.zeros((SIDE, SIDE, 4), np.uint8), r"uint8 \[37, 37, 4\]"),
        (Image.new("RGB", (SIDE, SIDE)), "Image"),
    ],
)
def test_other_pixels_are_refused(explainer: Explainer, given: Pixels, said: str) -> None:
    for ask in (lambda: explainer.probabilities([given]), lambda: explainer.explain(given, OPTIONS)):
        with pytest.raises(ValueError, match=rf"^pixels are uint8 \[37, 37, 3\], as decode gives them, not {said}$"):
            ask()


def test_a_contrast_that_cannot_be_asked_is_a_wrong_value_as_any_other(explainer: Explainer, pixels: Pixels) -> None:
    """So that who asks the library need not catch two kinds."""
    with pytest.raises(ValueError, match=r"^`contrast` is .*, the target itself: name another class") as said:
        explainer.explain(pixels, Options(target=2, contrast=2))
    assert isinstance(said.value, UnusableOption)


METHODS = "`methods` must be a set of one or both of deconv, occlusion"
INDEX = "a class index from 0 to 4"
LAYERS = "`layers` must be a tuple of the layers 1 to 3, each once"
MAPS = "`feature` must be a tuple of map indices from 0 to"
WINDOW = "`window` must be an integer from 1 to 37 (the side of the picture), or None"
FILL = "`fill` must be one of gray, mean, black, white, blur or a colour #rrggbb"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"methods": frozenset({"deconvnet"})}, f"{METHODS}, got frozenset({{'deconvnet'}})"),
        ({"methods": frozenset()}, f"{METHODS}, got frozenset()"),
        ({"methods": "occlusion"}, f"{METHODS}, got 'occlusion'"),
        ({"target": 5}, f"`target` must be {INDEX}, or None, got 5"),
        ({"target": -1}, f"`target` must be {INDEX}, or None, got -1"),
        ({"target": True}, f"`target` must be {INDEX}, or None, got True"),
        ({"contrast": 5}, f"`contrast` must be {INDEX}, `second` or None, got 5"),
        ({"contrast": 1.0}, f"`contrast` must be {INDEX}, `second` or None, got 1.0"),
        ({"layers": (1, 0)}, f"{LAYERS}, got (1, 0)"),
        ({"layers": (-1,)}, f"{LAYERS}, got (-1,)"),
        ({"layers": (3, 3)}, f"{LAYERS}, got (3, 3)"),
        ({"layers": 3}, f"{LAYERS}, got 3"),
        ({"features": 0}, "`features` must be an integer from 1, got 0"),
        ({"features": "9"}, "`features` must be an integer from 1, got '9'"),
        ({"top_k": 0}, "`top_k` must be an integer from 1, got 0"),
        ({"top_k": 2.5}, "`top_k` must be an integer from 1, got 2.5"),
        ({"others": -1}, "`others` must be an integer from 0, got -1"),
        ({"others": 5}, "`others` must be 0 without an atlas, got 5: give Explainer what load_atlas finds"),
        ({"precision": "fp16"}, "`precision` must be one of float32, bfloat16, float16, got 'fp16'"),
        ({"precision": ["float32"]}, "`precision` must be one of float32, bfloat16, float16, got ['float32']"),
        ({"crosscheck": "captum"}, "`crosscheck` must be True or False, got 'captum'"),
        ({"feature": (6, 7)}, f"{MAPS} 6 (layer 3), each once, got (6, 7)"),
        ({"feature": (1, 1)}, f"{MAPS} 6 (layer 3), each once, got (1, 1)"),
        ({"feature": ()}, f"{MAPS} 6 (layer 3), each once, got ()"),
        ({"feature": 1}, f"{MAPS} 6 (layer 3), each once, got 1"),
        ({"layers": (1,), "feature": (-1,)}, f"{MAPS} 5 (layer 1), each once, got (-1,)"),
        ({"layers": (1, 2), "feature": (0,)}, "`feature` names maps of one layer: give one of `layers`, not (1, 2)"),
        ({"window": 38}, f"{WINDOW}, got 38"),
        ({"window": 0}, f"{WINDOW}, got 0"),
        ({"window": 13.0}, f"{WINDOW}, got 13.0"),
        ({"stride": 33}, "`stride` must be an integer from 1 to 32 (the window), or None, got 33"),
        ({"window": 5, "stride": 6}, "`stride` must be an integer from 1 to 5 (the window), or None, got 6"),
        ({"stride": "8"}, "`stride` must be an integer from 1 to 32 (the window), or None, got '8'"),
        ({"fill": "nonsense"}, f"{FILL}, got 'nonsense'"),
        ({"fill": "#ff0000ff"}, f"{FILL}, got '#ff0000ff'"),
        ({"fill": (255, 0, 0)}, f"{FILL}, got (255, 0, 0)"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused_before_anything_is_computed(
    explainer: Explainer, pixels: Pixels, given: dict[str, Any], message: str
) -> None:
    computed: list[object] = []
    explainer.chain[0].register_forward_pre_hook(lambda *_: computed.append(1))
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        explainer.explain(pixels, Options(**given))
    assert not computed


@pytest.mark.parametrize(
    ("given", "window", "stride"),
    [({}, 32, 8), ({"window": 5}, 5, 5), ({"stride": 17}, 32, 17), ({"window": np.int64(20)}, 20, 8)],
)
def test_squares_are_of_32_pixels_8_apart_or_as_fits(given: dict[str, int], window: int, stride: int) -> None:
    assert Options(**given).squares(40) == squares(40, 40, window, stride)  # type: ignore[arg-type]


def test_nothing_asked_is_answered_of_a_net_of_small_pictures() -> None:
    explainer = Explainer(Checkpoint(like_zfnet(size=(3, 28, 28)), record(5, 28)), CPU)
    explanation = explainer.explain(noise(28, 28).copy(), Options())
    assert occlusion_of(explanation).squares == squares(28, 28, 28, 8)
    assert explanation.deconv is not None
