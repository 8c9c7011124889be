"""An explanation that was compared with Captum's."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import Pixels
from zfnet_explainer.net.checkpoint import load
from zfnet_explainer.pictures.view import centre_square
from zfnet_explainer.service.observation import Observation

from ..explained import OPTIONS
from ..samples import MODEL_STORE
from .small import CPU


@pytest.mark.parametrize("fill", ["gray", "blur"])
def test_crosscheck_agrees(explainer: Explainer, pixels: Pixels, fill: str) -> None:
    explanation = explainer.explain(pixels, replace(OPTIONS, crosscheck=True, fill=fill))
    check = explanation.crosscheck
    assert check is not None
    assert check.library == "captum"
    assert check.deconv is not None
    assert check.occlusion is not None
    assert check.deconv.agrees
    assert check.occlusion.agrees
    assert check.deconv.max_relative_difference <= 1e-6
    assert list(explanation.seconds) == ["predict", "deconv", "occlusion", "crosscheck"]


def test_a_reduced_precision_is_compared_and_not_counted(explainer: Explainer, pixels: Pixels) -> None:
    """Its difference from Captum's float32 is what was asked for and no sign of a fault."""
    explanation = explainer.explain(pixels, replace(OPTIONS, precision="bfloat16", crosscheck=True))
    check = explanation.crosscheck
    assert check is not None
    assert check.occlusion is not None
    assert check.occlusion.max_relative_difference > 1e-4
    assert check.occlusion.agrees is None
    seen = Observation("r0", "explain")
    seen.explained(explanation)
    assert seen.crosschecks == [("deconv", True)]


def test_nothing_need_agree_where_a_device_rounds(explainer: Explainer, pixels: Pixels) -> None:
    """Captum computes on the same one."""
    explainer.keeps_float32 = False
    check = explainer.explain(pixels, replace(OPTIONS, crosscheck=True)).crosscheck
    assert check is not None
    assert {method: agreement.agrees for method, agreement in check.agreements.items()} == {
        "deconv": None,
        "occlusion": None,
    }


def test_crosscheck_of_one_method(explainer: Explainer, pixels: Pixels) -> None:
    options = replace(OPTIONS, methods=frozenset({"deconv"}), crosscheck=True)
    check = explainer.explain(pixels, options).crosscheck
    assert check is not None
    assert check.deconv is not None
    assert check.occlusion is None


def test_values_that_are_nearly_equal_are_no_disagreement() -> None:
    """Two under a pool of layer 2 that another's rounding would let change places."""
    sides = [Image.open(MODEL_STORE / "samples" / f"{name}.jpg").resize((224, 448)) for name in ("church", "dingo")]
    collage = Image.fromarray(np.hstack([np.asarray(side) for side in sides]))
    square, _ = centre_square(collage, 224)
    explainer = Explainer(load(MODEL_STORE / "zfnet.safetensors"), CPU)
    options = replace(OPTIONS, methods=frozenset({"deconv"}), layers=(4,), feature=(67,), crosscheck=True)
    check = explainer.explain(np.array(square), options).crosscheck
    assert check is not None
    assert check.deconv is not None
    assert check.deconv.max_relative_difference < 1e-5
