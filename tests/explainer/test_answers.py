"""One picture and its options -> one explanation, held to the plain net."""

import copy
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import Pixels, Scores
from zfnet_explainer.methods import deconvnet
from zfnet_explainer.methods.deconvnet import project, strongest
from zfnet_explainer.methods.incremental import by_precision
from zfnet_explainer.methods.occlusion import occlude_full
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.checkpoint import Checkpoint

from ..chains import like_zfnet, plain
from ..explained import OPTIONS, SIDE, record
from ..samples import noise
from .small import CPU, occlusion_of


def standardised(pixels: Pixels) -> torch.Tensor:
    values = (pixels / 255 - np.array([0.5, 0.4, 0.3])) / np.array([0.2, 0.25, 0.3])
    return torch.from_numpy(values.transpose(2, 0, 1)).float()


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


def test_a_blank_picture_warms_the_net_up(explainer: Explainer) -> None:
    seen = []
    explainer.chain.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    explainer.warm_up()
    assert seen == [(1, 3, SIDE, SIDE)]


def test_on_a_card_it_is_explained_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor does what the card is given."""
    done: list[str] = []

    project = deconvnet.project

    def projected(*arguments: Any) -> Any:
        done.append("projected")
        return project(*arguments)

    there = Explainer(Checkpoint(like_zfnet(size=(3, SIDE, SIDE)), record(5, SIDE)), torch.device("cpu"))
    standardised = there._standardised

    def on_the_processor(pixels: Pixels) -> torch.Tensor:
        with monkeypatch.context() as context:
            context.setattr(there, "device", torch.device("cpu"))
            return standardised(pixels)

    monkeypatch.setattr(there, "_standardised", on_the_processor)
    monkeypatch.setattr(there, "device", torch.device("cuda", 0))
    monkeypatch.setattr("zfnet_explainer.explainer.current", nullcontext)
    monkeypatch.setattr("zfnet_explainer.net.device.synchronise", lambda _: None)
    monkeypatch.setattr(deconvnet, "project", projected)
    monkeypatch.setattr(by_precision, "autotune", lambda _: done.append("autotuned"))
    there.warm_up()
    assert done == ["projected", "autotuned"]


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
    ("fill", "value"), [("black", (0, 0, 0)), ("mean", (128, 102, 76)), ("#ff8000", (255, 128, 0)), ("blur", None)]
)
def test_occlusion_equals_painting_the_picture(
    chain: Chain, explainer: Explainer, pixels: Pixels, fill: str, value: tuple[int, int, int] | None
) -> None:
    """Squares painted in 8 bits before standardisation: of a colour, or of the picture blurred by their side / 4."""
    blurred = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(13 / 4))
    filled = np.asarray(blurred) if value is None else np.full_like(pixels, value)
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
            painted[top : top + 13, left : left + 13] = filled[top : top + 13, left : left + 13]
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
