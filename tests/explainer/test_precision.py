"""What an explainer computes in, on which device and in which thread, and what it says of rounding."""

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import get_ident

import numpy as np
import pytest
import torch

from zfnet_explainer.errors import UnusableOption
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import Pixels
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.net.precision import PRECISIONS, supported_precisions
from zfnet_explainer.service.threads import OneThread, Priority

from ..explained import OPTIONS, SIDE, record
from ..rounded import TensorFloat32
from .small import CPU, occlusion_of


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


def test_the_device_is_where_the_weights_are(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card without a number would be another one in a thread that has chosen another."""
    monkeypatch.setattr(Chain, "placed", lambda chain, _: chain)
    assert Explainer(Checkpoint(chain, record(5, SIDE)), "cuda").device == CPU


def loud(chain: Chain, times: float) -> Explainer:
    """One whose first layer's activations are so many times as large."""
    for name in ("conv1.weight", "conv1.bias"):
        chain.get_parameter(name).mul_(times)
    return Explainer(Checkpoint(chain, record(5, SIDE)), CPU)


def test_a_precision_answers_as_long_as_it_holds_the_activations(chain: Chain, pixels: Pixels) -> None:
    """Their squares, by which they are normalised, are beyond float16."""
    found = occlusion_of(loud(chain, 1000).explain(pixels, replace(OPTIONS, precision="float16")))
    assert found.max_deviation is not None
    assert 0 < found.max_deviation < 0.01


def test_a_precision_that_overflows_is_refused(chain: Chain, pixels: Pixels) -> None:
    explainer = loud(chain, 1e5)
    with pytest.raises(
        UnusableOption, match=r"^`precision` float16 has no numbers as large .*: ask for float32$"
    ) as caught:
        explainer.explain(pixels, replace(OPTIONS, precision="float16"))
    assert caught.value.option == "precision"
    assert np.isfinite(occlusion_of(explainer.explain(pixels, OPTIONS)).target_probability).all()


def test_a_precision_that_holds_every_logit_and_not_a_maps_sum_is_refused(chain: Chain, pixels: Pixels) -> None:
    """An infinity among the activities is no number that JSON could tell."""
    for name in ("conv3.weight", "conv3.bias"):
        chain.get_parameter(name).mul_(1.3e4)
    chain.get_parameter("fc1.weight").div_(1.3e4)
    explainer = Explainer(Checkpoint(chain, record(5, SIDE)), CPU)
    exact = occlusion_of(explainer.explain(pixels, OPTIONS))
    maps = chain.run(explainer._standardised(pixels)[None]).outputs["relu3"]
    assert float(maps.max()) < torch.finfo(torch.float16).max < exact.feature_activity.min(), "or it would be no test"
    with pytest.raises(UnusableOption, match="ask for float32"):
        explainer.explain(pixels, replace(OPTIONS, precision="float16"))


def test_what_float32_cannot_hold_is_no_answer(chain: Chain, pixels: Pixels) -> None:
    explainer = loud(chain, 1e30)
    for ask in (lambda: explainer.probabilities([pixels]), lambda: explainer.explain(pixels, OPTIONS)):
        with pytest.raises(ArithmeticError, match="beyond float32"):
            ask()


def test_a_callers_autocast_rounds_nothing(explainer: Explainer, pixels: Pixels) -> None:
    options = replace(OPTIONS, contrast="second", crosscheck=True)
    expected, scores = explainer.explain(pixels, options), explainer.scores([pixels])
    with torch.autocast("cpu", torch.bfloat16):
        found, again = explainer.explain(pixels, options), explainer.scores([pixels])
    assert np.array_equal(found.probabilities, expected.probabilities)
    assert np.array_equal(again[0].logits, scores[0].logits)
    assert np.array_equal(occlusion_of(found).logits, occlusion_of(expected).logits)
    assert found.crosscheck is not None
    assert all(agreement.agrees for agreement in found.crosscheck.agreements.values())


@pytest.fixture
def default() -> Iterator[None]:
    """Torch's defaults are as they were afterwards."""
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


@pytest.mark.usefixtures("default")
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_callers_default_precision_and_device_change_nothing(
    chain: Chain, pixels: Pixels, dtype: torch.dtype
) -> None:
    checkpoint = Checkpoint(chain, record(5, SIDE))
    first = Explainer(checkpoint, CPU)
    expected, scores = first.explain(pixels, OPTIONS), first.scores([pixels])
    torch.set_default_dtype(dtype)
    torch.set_default_device("meta")
    explainer = Explainer(checkpoint, CPU)
    found, again = explainer.explain(pixels, OPTIONS), explainer.scores([pixels])
    assert again[0].logits.dtype == np.float32
    assert np.array_equal(again[0].logits, scores[0].logits)
    assert np.array_equal(occlusion_of(found).logits, occlusion_of(expected).logits)


def test_a_used_explainer_goes_to_another_process(explainer: Explainer, pixels: Pixels) -> None:
    expected = occlusion_of(explainer.explain(pixels, OPTIONS))
    for again in (pickle.loads(pickle.dumps(explainer)), copy.deepcopy(explainer)):  # noqa: S301
        assert np.array_equal(occlusion_of(again.explain(pixels, OPTIONS)).logits, expected.logits)


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


def test_one_checkpoint_on_two_devices(chain: Chain, pixels: Pixels) -> None:
    checkpoint = Checkpoint(chain, record(5, SIDE))
    first = Explainer(checkpoint, "cpu")
    expected = first.probabilities([pixels])
    checkpoint.chain.placed(first.device).to("meta")
    assert np.array_equal(first.probabilities([pixels]), expected)
    assert np.array_equal(Explainer(checkpoint, "cpu").probabilities([pixels]), expected)
