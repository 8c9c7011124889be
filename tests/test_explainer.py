"""One picture and its options -> one explanation, of a small net and once of ZFNet."""

import copy
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import get_ident
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zfnet_explainer.errors import UnusableOption
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import Explanation, Occlusion, Pixels, Scores
from zfnet_explainer.methods.deconvnet import project, strongest
from zfnet_explainer.methods.occlusion import occlude_full
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.checkpoint import Checkpoint, load
from zfnet_explainer.net.precision import PRECISIONS, supported_precisions
from zfnet_explainer.options import Options
from zfnet_explainer.pictures.view import centre_square
from zfnet_explainer.service.observation import Observation
from zfnet_explainer.service.threads import OneThread, Priority

from .chains import like_zfnet, plain
from .explained import OPTIONS, SIDE, record
from .needs import hardware
from .rounded import TensorFloat32
from .samples import MODEL_STORE, noise

CPU = torch.device("cpu")
BFLOAT16 = hardware("bfloat16" in supported_precisions(CPU), "a processor with bfloat16")


@pytest.fixture
def chain() -> Chain:
    return like_zfnet(size=(3, SIDE, SIDE))


@pytest.fixture
def explainer(chain: Chain) -> Explainer:
    return Explainer(Checkpoint(chain, record(5, SIDE)), CPU)


@pytest.fixture
def pixels() -> Pixels:
    return noise(SIDE, SIDE).copy()


def standardised(pixels: Pixels) -> torch.Tensor:
    values = (pixels / 255 - np.array([0.5, 0.4, 0.3])) / np.array([0.2, 0.25, 0.3])
    return torch.from_numpy(values.transpose(2, 0, 1)).float()


def occlusion_of(explanation: Explanation) -> Occlusion:
    assert explanation.occlusion is not None
    return explanation.occlusion


def test_probabilities_are_those_of_the_plain_net(chain: Chain, explainer: Explainer, pixels: Pixels) -> None:
    expected = plain(chain)(torch.stack([standardised(pixels), standardised(pixels[::-1])])).softmax(1).numpy()
    found = explainer.probabilities([pixels, np.ascontiguousarray(pixels[::-1])])
    assert found.shape == (2, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert not np.allclose(found[0], found[1], rtol=1e-2)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)


def test_many_pictures_go_through_the_net_in_passes(
    explainer: Explainer, pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    explainer.chain.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    pictures = [np.roll(pixels, shift, 1) for shift in range(7)]
    expected = np.concatenate([explainer.probabilities([one]) for one in pictures])
    monkeypatch.setattr("zfnet_explainer.explainer.PASS", 3)
    seen.clear()
    np.testing.assert_allclose(explainer.probabilities(pictures), expected, rtol=1e-4)
    assert seen == [3, 3, 1]


def test_predictions(explainer: Explainer, pixels: Pixels) -> None:
    explanation = explainer.explain(pixels, replace(OPTIONS, methods=frozenset({"deconv"})))
    (expected,) = explainer.probabilities([pixels])
    np.testing.assert_allclose(explanation.probabilities, expected, rtol=1e-5)
    assert len(explanation.predictions) == 3
    assert [p.rank for p in explanation.predictions] == [1, 2, 3]
    assert [p.class_index for p in explanation.predictions] == list(np.argsort(-expected)[:3])
    for p in explanation.predictions:
        assert p.probability == pytest.approx(float(expected[p.class_index]), rel=1e-5)
    assert explanation.target == explanation.predictions[0]


def test_ties_go_to_the_lower_index() -> None:
    order = Scores(np.array([0, 2, 1, 2, 0], np.float32), np.array([0.1, 0.3, 0.2, 0.3, 0.1], np.float32)).predictions
    assert [(p.rank, p.class_index) for p in order] == [(1, 1), (2, 3), (3, 2), (4, 0), (5, 4)]
    assert [p.probability for p in order] == pytest.approx([0.3, 0.3, 0.2, 0.1, 0.1])


def sure(chain: Chain, logits: list[float]) -> Explainer:
    """One that has these logits of every picture."""
    chain.get_parameter("fc2.weight").zero_()
    chain.get_parameter("fc2.bias").copy_(torch.tensor(logits))
    return Explainer(Checkpoint(chain, record(5, SIDE)), CPU)


def test_classes_are_ranked_where_their_probabilities_are_too_small_for_float32(chain: Chain, pixels: Pixels) -> None:
    explainer = sure(chain, [0, 50, 300, 150, 50])
    asked = replace(OPTIONS, methods=frozenset({"occlusion"}), top_k=5, contrast="second")
    explained = explainer.explain(pixels, asked)
    for found in (explained.predictions, *(one.predictions for one in explainer.scores([pixels, pixels[::-1].copy()]))):
        assert [p.class_index for p in found] == [2, 3, 1, 4, 0]
        assert [p.rank for p in found] == [1, 2, 3, 4, 5]
        assert [p.probability for p in found] == [1, 0, 0, 0, 0]
    contrast = occlusion_of(explained).contrast
    assert contrast is not None
    assert (contrast.class_index, contrast.unoccluded) == (3, 150)


def test_no_pictures_have_no_rows(explainer: Explainer) -> None:
    assert explainer.probabilities([]).shape == (0, 5)
    assert explainer.scores([]) == []


def test_explanations_are_told_apart_by_identity(explainer: Explainer, pixels: Pixels) -> None:
    """Of what holds arrays there is no other equality to speak of."""
    first, second = (explainer.explain(pixels, OPTIONS) for _ in range(2))
    assert first == first
    assert first != second
    assert first.deconv != second.deconv
    assert first.occlusion not in (None, second.occlusion)
    parts = [part for found in (first, second) for part in found.deconv or ()]
    assert len({feature for part in parts for feature in part.features}) == 8


@pytest.mark.parametrize("target", range(5))
def test_a_given_target_is_explained_also_below_the_top(explainer: Explainer, pixels: Pixels, target: int) -> None:
    explanation = explainer.explain(pixels, replace(OPTIONS, target=target, top_k=1))
    probability = float(explanation.probabilities[target])
    assert explanation.target.class_index == target
    assert explanation.target.probability == probability
    assert explanation.target.rank == 1 + int((explanation.probabilities > probability).sum())
    assert occlusion_of(explanation).unoccluded == probability


@pytest.mark.parametrize("methods", [("deconv",), ("occlusion",)], ids=str)
def test_only_what_is_asked(explainer: Explainer, pixels: Pixels, methods: tuple[str, ...]) -> None:
    start = time.perf_counter()
    explanation = explainer.explain(pixels, replace(OPTIONS, methods=frozenset(methods)))
    elapsed = time.perf_counter() - start
    assert (explanation.deconv is not None) == ("deconv" in methods)
    assert (explanation.occlusion is not None) == ("occlusion" in methods)
    assert explanation.crosscheck is None
    assert list(explanation.seconds) == ["predict", *methods]
    assert 0 < sum(explanation.seconds.values()) < elapsed, "one after the other, within the whole"


def test_projections_of_the_strongest_maps(chain: Chain, explainer: Explainer, pixels: Pixels) -> None:
    explanation = explainer.explain(pixels, OPTIONS)
    assert explanation.deconv is not None
    clean = chain.run(standardised(pixels)[None])
    assert [part.layer for part in explanation.deconv] == [1, 3]
    for part, name in zip(explanation.deconv, ("relu1", "relu3"), strict=True):
        maps = clean.outputs[name][0]
        assert (part.maps, part.size) == (len(maps), maps.shape[1:])
        expected = project(chain, clean, name, strongest(maps, 2))
        assert [f.feature for f in part.features] == [f.feature for f in expected]
        for found, wanted in zip(part.features, expected, strict=True):
            assert (found.position, found.receptive_field) == (wanted.position, wanted.receptive_field)
            assert found.activation == pytest.approx(wanted.activation, rel=1e-5)
            bound = 1e-5 * float(wanted.projection.abs().max())
            torch.testing.assert_close(found.projection, wanted.projection, rtol=0, atol=bound)


def test_projections_of_listed_maps_in_their_order(explainer: Explainer, pixels: Pixels) -> None:
    explanation = explainer.explain(pixels, replace(OPTIONS, layers=(2,), feature=(6, 0, 3)))
    assert explanation.deconv is not None
    [part] = explanation.deconv
    assert [f.feature for f in part.features] == [6, 0, 3]
    strongest = explainer.explain(pixels, replace(OPTIONS, layers=(2,), features=part.maps)).deconv
    assert strongest is not None
    order = [f.feature for f in strongest[0].features]
    assert part.ranks == {feature: order.index(feature) + 1 for feature in (6, 0, 3)}


@pytest.mark.parametrize(
    ("fill", "value"), [("black", (0, 0, 0)), ("mean", (128, 102, 76)), ("#ff8000", (255, 128, 0))]
)
def test_occlusion_equals_painting_the_picture(
    chain: Chain, explainer: Explainer, pixels: Pixels, fill: str, value: tuple[int, int, int]
) -> None:
    """Squares painted in 8 bits before standardisation."""
    found = occlusion_of(explainer.explain(pixels, replace(OPTIONS, target=2, fill=fill)))
    clean = chain.run(standardised(pixels)[None])
    maps = clean.outputs["relu3"][0]
    feature = int(maps.amax((1, 2)).argmax())
    assert (found.layer, found.feature, found.fill) == (3, feature, fill)
    assert found.feature_unoccluded == pytest.approx(float(maps[feature].sum()), rel=1e-5)
    assert found.squares == squares(SIDE, SIDE, 13, 6)
    assert found.squares.tops == (0, 6, 12, 18, 24)
    assert (found.exact, found.max_deviation, found.precision) == (True, None, "float32")
    for row, top in enumerate(found.squares.tops):
        for col, left in enumerate(found.squares.lefts):
            painted = pixels.copy()
            painted[top : top + 13, left : left + 13] = value
            outputs = chain.run(standardised(painted)[None]).outputs
            logits = outputs["fc2"][0]
            assert found.target_probability[row, col] == pytest.approx(float(logits.softmax(0)[2]), rel=1e-4)
            assert found.feature_activity[row, col] == pytest.approx(
                float(outputs["relu3"][0, feature].sum()), rel=1e-4
            )
            assert found.most_probable_class[row, col] == int(logits.argmax())
    assert found.most_probable_unoccluded == int(clean.outputs["fc2"].argmax())
    assert found.drop == pytest.approx(found.unoccluded - float(found.target_probability.min()))
    assert len(np.unique(found.target_probability)) > 5


@BFLOAT16
def test_a_reduced_precision_says_how_far_it_is_from_float32(explainer: Explainer, pixels: Pixels) -> None:
    options = replace(OPTIONS, contrast="second")
    exact = occlusion_of(explainer.explain(pixels, options))
    reduced = occlusion_of(explainer.explain(pixels, replace(options, precision="bfloat16")))
    again = occlusion_of(explainer.explain(pixels, options))
    assert (reduced.exact, reduced.precision) == (False, "bfloat16")
    sample = np.ix_((0, 1, 3, 4), (0, 1, 3, 4))
    apart = np.abs(reduced.target_probability - exact.target_probability)
    assert reduced.max_deviation == pytest.approx(float(apart[sample].max()), abs=1e-6)
    assert exact.contrast is not None
    assert exact.contrast.max_deviation is None
    assert reduced.contrast is not None
    odds_apart = np.abs(reduced.contrast.log_odds - exact.contrast.log_odds)[sample].max()
    assert reduced.contrast.max_deviation == pytest.approx(float(odds_apart), rel=1e-3)
    assert 0 < apart.max() < 0.1
    np.testing.assert_allclose(again.target_probability, exact.target_probability, rtol=1e-5)  # stays what it was


@BFLOAT16
@pytest.mark.parametrize(("window", "stride", "rows"), [(37, 1, [0]), (31, 6, [0, 1]), (25, 6, [0, 1, 2])])
def test_the_deviation_of_few_squares(
    explainer: Explainer, pixels: Pixels, window: int, stride: int, rows: list[int]
) -> None:
    options = replace(OPTIONS, window=window, stride=stride)
    exact = occlusion_of(explainer.explain(pixels, options))
    reduced = occlusion_of(explainer.explain(pixels, replace(options, precision="bfloat16")))
    assert len(exact.squares.tops) == len(rows)
    apart = np.abs(reduced.target_probability - exact.target_probability)
    assert reduced.max_deviation == pytest.approx(float(apart.max()), abs=1e-6)


def test_a_device_that_rounds_float32_says_how_far_it_is_from_it(chain: Chain, pixels: Pixels) -> None:
    """Of the probabilities and log odds that it tells, which a temperature other than 1 has spread."""
    calibrated, options = record(5, SIDE, temperature=0.6), replace(OPTIONS, contrast="second")
    exact = occlusion_of(Explainer(Checkpoint(copy.deepcopy(chain), calibrated), CPU).explain(pixels, options))
    with TensorFloat32():
        explainer = Explainer(Checkpoint(chain, calibrated), CPU)
        explanation = explainer.explain(pixels, replace(options, crosscheck=True))
    found = occlusion_of(explanation)
    assert (found.precision, found.exact) == ("float32", False)
    sample = np.ix_((0, 1, 3, 4), (0, 1, 3, 4))
    apart = np.abs(found.target_probability - exact.target_probability)
    assert found.max_deviation is not None
    assert found.max_deviation == pytest.approx(float(apart[sample].max()), abs=1e-6)
    assert found.max_deviation > 1e-5
    assert found.contrast is not None
    assert exact.contrast is not None
    odds_apart = np.abs(found.contrast.log_odds - exact.contrast.log_odds)[sample].max()
    assert found.contrast.max_deviation == pytest.approx(float(odds_apart), abs=1e-5)
    assert explanation.crosscheck is not None
    assert explanation.crosscheck.occlusion is not None
    assert explanation.crosscheck.occlusion.agrees is None


def test_the_thread_that_computes_has_the_device_for_its_own(
    explainer: Explainer, pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread of TorchServe's or ours begins with the first card, whichever one its worker was given."""
    inside: set[tuple[int, torch.device]] = set()

    @contextmanager
    def entered(device: torch.device) -> Iterator[None]:
        inside.add((get_ident(), device))
        yield
        inside.clear()

    monkeypatch.setattr("zfnet_explainer.explainer.current", entered)
    seen: list[bool] = []
    for module in explainer.chain:
        module.register_forward_pre_hook(lambda *_: seen.append(inside == {(get_ident(), CPU)}))
    run = OneThread(1)
    run(partial(explainer.probabilities, [pixels]), Priority.URGENT)
    run(partial(explainer.explain, pixels, replace(OPTIONS, crosscheck=True)), Priority.LOW)
    assert len(seen) > 2 * len(explainer.chain)
    assert all(seen)


def loud(chain: Chain, times: float) -> Explainer:
    """One whose first layer's activations are so many times as large."""
    for name in ("conv1.weight", "conv1.bias"):
        chain.get_parameter(name).mul_(times)
    return Explainer(Checkpoint(chain, record(5, SIDE)), CPU)


def test_a_precision_that_overflows_is_refused(chain: Chain, pixels: Pixels) -> None:
    """Squares of values from 256 on are beyond float16."""
    explainer = loud(chain, 1000)
    with pytest.raises(
        UnusableOption, match=r"^`precision` float16 has no numbers as large .*: ask for float32$"
    ) as caught:
        explainer.explain(pixels, replace(OPTIONS, precision="float16"))
    assert caught.value.option == "precision"
    assert np.isfinite(occlusion_of(explainer.explain(pixels, OPTIONS)).target_probability).all()


def test_what_float32_cannot_hold_is_no_answer(chain: Chain, pixels: Pixels) -> None:
    explainer = loud(chain, 1e30)
    for ask in (lambda: explainer.probabilities([pixels]), lambda: explainer.explain(pixels, OPTIONS)):
        with pytest.raises(ArithmeticError, match="beyond float32"):
            ask()


def test_crosscheck_agrees(explainer: Explainer, pixels: Pixels) -> None:
    explanation = explainer.explain(pixels, replace(OPTIONS, crosscheck=True))
    check = explanation.crosscheck
    assert check is not None
    assert check.library == "captum"
    assert check.deconv is not None
    assert check.occlusion is not None
    assert check.deconv.agrees
    assert check.occlusion.agrees
    assert check.deconv.max_relative_difference <= 1e-6
    assert list(explanation.seconds) == ["predict", "deconv", "occlusion", "crosscheck"]


@BFLOAT16
def test_a_reduced_precision_is_compared_and_not_counted(explainer: Explainer, pixels: Pixels) -> None:
    """Its difference from Captum's float32 is what was asked for and no sign of a fault."""
    explanation = explainer.explain(pixels, replace(OPTIONS, precision="bfloat16", crosscheck=True))
    check = explanation.crosscheck
    assert check is not None
    assert check.occlusion is not None
    assert check.occlusion.max_relative_difference > 1e-4
    assert check.occlusion.agrees is None
    seen = Observation("explain")
    seen.explained(explanation)
    assert seen.crosschecks == [("deconv", True)]


def test_crosscheck_of_one_method(explainer: Explainer, pixels: Pixels) -> None:
    options = replace(OPTIONS, methods=frozenset({"deconv"}), crosscheck=True)
    check = explainer.explain(pixels, options).crosscheck
    assert check is not None
    assert check.deconv is not None
    assert check.occlusion is None


def test_nothing_stays_changed(chain: Chain, explainer: Explainer, pixels: Pixels) -> None:
    weights = {key: value.clone() for key, value in chain.state_dict().items()}
    before = pixels.copy()
    options = replace(OPTIONS, crosscheck=True, fill="blur")
    first = explainer.explain(pixels, options)
    second = explainer.explain(pixels, options)
    assert np.array_equal(pixels, before)
    assert all(torch.equal(chain.state_dict()[key], value) for key, value in weights.items())
    np.testing.assert_allclose(
        occlusion_of(first).target_probability, occlusion_of(second).target_probability, rtol=1e-5
    )
    assert not any(p.requires_grad for p in chain.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in chain.modules())


def test_supported_precisions_compute(explainer: Explainer, pixels: Pixels) -> None:
    precisions = supported_precisions(CPU)
    assert precisions[0] == "float32"
    assert set(precisions) <= set(PRECISIONS)
    for precision in precisions:
        found = occlusion_of(explainer.explain(pixels, replace(OPTIONS, precision=precision)))
        assert found.precision == precision
        assert np.isfinite(found.target_probability).all()


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ({"avx512_f": True}, ("float32",)),
        ({"avx512_f": True, "avx512_bf16": True, "avx512_fp16": False}, ("float32", "bfloat16")),
        ({"amx_bf16": True, "amx_fp16": True}, ("float32", "bfloat16", "float16")),
        ({"neon": True, "bf16": True}, ("float32", "bfloat16")),
        ({"neon": True, "bf16": True, "fp16_arith": True}, ("float32", "bfloat16", "float16")),
    ],
)
def test_a_processor_is_asked_for_what_it_has_instructions_for(
    has: dict[str, bool], expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert supported_precisions(CPU) == expected


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


def test_zfnet(random_zfnet: Chain) -> None:
    explainer = Explainer(Checkpoint(copy.deepcopy(random_zfnet), record(10, 224)), CPU)
    options = replace(OPTIONS, layers=(1, 2, 3, 4, 5), features=1, window=200, stride=24, crosscheck=True)
    explanation = explainer.explain(noise().copy(), options)
    assert explanation.deconv is not None
    assert [(part.maps, part.size) for part in explanation.deconv] == [
        (96, (110, 110)),
        (256, (26, 26)),
        (384, (13, 13)),
        (384, (13, 13)),
        (256, (13, 13)),
    ]
    found = occlusion_of(explanation)
    assert found.target_probability.shape == found.feature_activity.shape == (2, 2)
    image = standardised(noise())
    gray = standardised(np.full((224, 224, 3), 128, np.uint8))
    expected = occlude_full(random_zfnet, image, gray, found.squares, "relu5", found.feature)
    np.testing.assert_allclose(
        found.target_probability, expected.logits.softmax(2)[..., explanation.target.class_index], atol=1e-5
    )
    check = explanation.crosscheck
    assert check is not None
    assert check.deconv is not None
    assert check.occlusion is not None
    assert check.deconv.agrees
    assert check.occlusion.agrees


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


def test_one_checkpoint_on_two_devices(chain: Chain, pixels: Pixels) -> None:
    checkpoint = Checkpoint(chain, record(5, SIDE))
    first = Explainer(checkpoint, "cpu")
    expected = first.probabilities([pixels])
    checkpoint.chain.placed(first.device).to("meta")
    assert np.array_equal(first.probabilities([pixels]), expected)
    assert np.array_equal(Explainer(checkpoint, "cpu").probabilities([pixels]), expected)
