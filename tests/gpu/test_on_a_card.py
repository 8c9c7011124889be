"""Everything that a worker computes, on a card and on the CPU: the same within float32's rounding."""

import copy
import io
import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from zfnet_explainer.accuracy.logits import logits
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.explanation import Explanation
from zfnet_explainer.methods.deconvnet import project
from zfnet_explainer.methods.incremental.occluder import Occluder
from zfnet_explainer.methods.occlusion import OcclusionMaps, occlude_full
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.chain import Activations, Chain
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.net.device import keeps_float32
from zfnet_explainer.net.precision import supported_precisions
from zfnet_explainer.options import Options
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits
from zfnet_explainer.training.process import Process
from zfnet_explainer.training.recipe import Recipe

from ..chains import SMALL, like_zfnet, picture
from ..explained import OPTIONS, SIDE, record
from ..needs import hardware, need_hardware
from ..samples import encoded, noise
from ..served import SMALL as LITTLE
from ..served import checkpoint, sent
from ..training.runs import PREPROCESSING, RECIPE, pictures, trainer

CPU = torch.device("cpu")
REHEARSED = os.environ.get("REHEARSE_GPU") == "1"
pytestmark = [pytest.mark.gpu, hardware(torch.cuda.is_available() or REHEARSED, "a GPU")]
a_real_card = hardware(torch.cuda.is_available(), "a GPU")


def close(found: Tensor, expected: Tensor) -> None:
    """Within 1e-5 of the largest value."""
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def ran(kind: str, device: torch.device) -> tuple[Chain, Tensor, Activations]:
    """A small chain there, a picture, and its activations."""
    chain = SMALL[kind](0).placed(device)
    image = picture(chain).to(device)
    return chain, image, chain.run(image[None])


def explained(device: torch.device, options: Options) -> Explanation:
    explainer = Explainer(Checkpoint(like_zfnet(size=(3, SIDE, SIDE)), record(5, SIDE)), device)
    return explainer.explain(noise(SIDE, SIDE).copy(), options)


def service(device: torch.device) -> Service:
    there = Checkpoint(copy.deepcopy(checkpoint().chain), checkpoint().record)
    return Service(Explainer(there, device), "zfnet", "1.0.0", Limits())


def test_float32_is_float32_there(card: torch.device) -> None:
    SMALL["thin"](0).placed(card)
    assert keeps_float32(card)


@pytest.mark.parametrize("kind", SMALL)
def test_every_layers_activations(kind: str, card: torch.device) -> None:
    (_, _, found), (_, _, expected) = ran(kind, card), ran(kind, CPU)
    for name, values in expected.outputs.items():
        close(found.outputs[name], values)


@pytest.mark.parametrize("kind", SMALL)
def test_projections_from_every_layer(kind: str, card: torch.device) -> None:
    (there, _, theirs), (here, _, ours) = ran(kind, card), ran(kind, CPU)
    for layer in here.features:
        for found, expected in zip(
            project(there, theirs, layer, [0, 1, 2]), project(here, ours, layer, [0, 1, 2]), strict=True
        ):
            assert found.position == expected.position
            close(found.projection, expected.projection)


@pytest.mark.parametrize("kind", SMALL)
def test_occlusion_maps(kind: str, card: torch.device) -> None:
    def occluded(device: torch.device, evaluate: Callable[..., OcclusionMaps] | None) -> OcclusionMaps:
        chain, image, clean = ran(kind, device)
        grid, fill = squares(*chain.input_size[1:], 6, 3), picture(chain, 2).to(device)
        if evaluate:
            return evaluate(chain, image, fill, grid, chain.features[-1], 1)
        return Occluder(chain)(image, clean, fill, grid, chain.features[-1], 1)

    expected = occluded(CPU, occlude_full)
    for found in (occluded(card, None), occluded(card, occlude_full)):
        close(found.logits, expected.logits)
        close(found.feature_activity, expected.feature_activity)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_reduced_precision_is_as_far_off_as_it_says(precision: str, card: torch.device) -> None:
    need_hardware(precision in supported_precisions(card), f"a GPU with {precision}")
    options = replace(OPTIONS, window=25)  # nine squares, all of which are compared
    found, expected = (
        explained(card, replace(options, precision=precision)).occlusion,
        explained(CPU, options).occlusion,
    )
    assert found is not None
    assert expected is not None
    assert found.max_deviation is not None
    apart = float(np.abs(found.target_probability - expected.target_probability).max())
    assert apart <= found.max_deviation + 1e-5
    assert found.max_deviation < 0.1


def test_a_worker_that_has_warmed_up_has_chosen_its_way(card: torch.device, caplog: pytest.LogCaptureFixture) -> None:
    """Of ZFNet, whose squares are neither all evaluated in full nor all alike."""
    served = service(card).explainer
    with caplog.at_level(logging.INFO):
        served.warm_up()
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
    asked = Options(methods=frozenset({"occlusion"}))
    found = served.explain(noise().copy(), asked).occlusion
    assert found is not None
    chosen = [line for line in caplog.messages if line.endswith(f"taken: {found.way}")]
    assert [line.count(" ms") for line in chosen] == ([3] if card.type == "cuda" else [])


def test_it_agrees_with_captum(card: torch.device) -> None:
    check = explained(card, replace(OPTIONS, crosscheck=True)).crosscheck
    assert check is not None
    assert check.deconv is not None
    assert check.deconv.agrees
    assert check.occlusion is not None
    assert check.occlusion.agrees


@pytest.mark.parametrize("layer", ["1", "3", "5"])
def test_the_same_bits_twice(layer: str, card: torch.device) -> None:
    served, body = service(card), encoded(noise())
    asked = sent({"data": body, **LITTLE, "format": "npz", "layer": layer}, explain=True)
    first, second = (np.load(io.BytesIO(served.answer([asked], ["twice"])[0].body)) for _ in range(2))
    assert first.files == second.files
    for name in first.files:
        assert np.array_equal(first[name], second[name]), name


@pytest.mark.parametrize("form", ["json", "png", "npz", "html"])
def test_every_format(form: str, card: torch.device) -> None:
    [answer] = service(card).answer([sent({"data": encoded(noise()), **LITTLE, "format": form}, explain=True)], ["one"])
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("explain", [False, True], ids=["predict", "explain"])
def test_json_says_what_it_says_on_the_cpu(explain: bool, card: torch.device) -> None:
    asked = sent({"data": encoded(noise()), **(LITTLE if explain else {})}, explain)
    found, expected = (json.loads(service(device).answer([asked], ["one"])[0].body) for device in (card, CPU))
    assert [p["class_index"] for p in found["predictions"]] == [p["class_index"] for p in expected["predictions"]]
    assert found["predictions"][0]["probability"] == pytest.approx(expected["predictions"][0]["probability"], rel=1e-4)
    if explain:
        assert found["occlusion"]["exact"]
        np.testing.assert_allclose(
            found["occlusion"]["target_probability"], expected["occlusion"]["target_probability"], rtol=1e-4
        )


def test_a_mixed_batch(card: torch.device) -> None:
    body = encoded(noise())
    batch = [
        sent({"data": body}, explain=False), sent({"data": body, **LITTLE}, explain=True),
        sent({"data": b"<svg/>"}, explain=False), sent({"data": body}, explain=False),
    ]  # fmt: skip
    answers = service(card).answer(batch, ["a", "b", "c", "d"])
    assert [answer.status for answer in answers] == [200, 200, 415, 200]
    first, last = (json.loads(answers[i].body)["predictions"] for i in (0, 3))
    assert first == last


@a_real_card
def test_no_memory_left_costs_one_answer_and_no_worker(card: torch.device) -> None:
    served, body = service(card), encoded(noise())
    asked = sent({"data": body, "window": "50", "stride": "4"}, explain=True)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-3, card)
    try:
        [refused] = served.answer([asked], ["full"])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, card)
    [answer] = served.answer([asked], ["free"])
    assert (refused.status, answer.status) == (500, 200)
    assert not served.device_lost


@hardware(torch.cuda.device_count() > 1, "two GPUs")
def test_a_worker_of_the_second_card_leaves_the_first_alone() -> None:
    before = torch.cuda.memory_reserved(0)
    explained(torch.device("cuda", 1), OPTIONS)
    assert torch.cuda.memory_reserved(0) == before
    assert torch.cuda.current_device() == 0


def test_an_evaluation_at_another_size(card: torch.device) -> None:
    found, expected = (
        logits(like_zfnet(size=(3, 29, 29)).placed(device), pictures(7), PREPROCESSING, 29, 3) for device in (card, CPU)
    )
    close(found, expected)


@a_real_card
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature")
@pytest.mark.parametrize(
    "recipe", [RECIPE, replace(RECIPE, filter_radius=0.1, averaging=0)], ids=["averaged", "clipped"]
)
def test_a_training_step_waits_for_nothing(recipe: Recipe, card: torch.device, tmp_path: Path) -> None:
    """The second and later ones: the first makes what the optimiser and the libraries keep."""
    trained = trainer(tmp_path, replace(recipe, mixing=0.8), process=Process(card, Console(quiet=True), loaders=0))
    batch = pictures(recipe.batch)
    images, labels = batch.images.pin_memory(), batch.labels.pin_memory()
    trained._step(images, labels)
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(8):
            trained._step(images, labels)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_training_run(card: torch.device, tmp_path: Path) -> None:
    process = Process(card, Console(quiet=True), loaders=0)
    trained = trainer(tmp_path, RECIPE, process=process)
    trained.run()
    assert trained.epoch == RECIPE.epochs
    assert all(value.isfinite().all() for value in trained.trained().state_dict().values())
