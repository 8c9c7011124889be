"""Why this class and not that one: against a net that is shown every painted square itself."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tests.chains import like_zfnet, named, plain, seeded
from tests.explained import SIDE, record
from tests.samples import encoded, noise
from tests.served import sent
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.checkpoint import Checkpoint
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits

TEMPERATURE = 0.6
PIXELS = noise(SIDE, SIDE, seed=4)
PNG = encoded(PIXELS)
B64 = base64.b64encode(PNG).decode()
OCCLUSION = {"methods": "occlusion", "images": "false", "window": "13", "stride": "7", "fill": "#4060a0"}


CHAIN = like_zfnet(seed=3, size=(3, SIDE, SIDE))


@pytest.fixture(scope="module")
def served() -> Service:
    return Service(
        Explainer(Checkpoint(CHAIN, record(5, SIDE, TEMPERATURE)), torch.device("cpu")), "small", "1", Limits()
    )


def ask(served: Service, fields: dict[str, Any], kserve: bool = False) -> bytes:
    [answer] = served.answer([sent(fields, True, kserve)], ["id"])
    return answer.body


def explained(served: Service, **options: str) -> Any:
    answer = json.loads(ask(served, {"data": PNG, **OCCLUSION, **options}))
    assert "error" not in answer, answer
    return answer


def refused(served: Service, **options: str) -> Any:
    return json.loads(ask(served, {"data": PNG, **options}))["error"]


def log_probabilities(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of the net's logits over the temperature, with none of our code but the layers' weights."""
    standardised = (pixels / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.25, 0.3]
    x = torch.from_numpy(standardised.transpose(2, 0, 1)[None]).float()
    scaled = plain(CHAIN)(x)[0].double().numpy() / TEMPERATURE
    found: NDArray[np.float64] = scaled - np.log(np.exp(scaled).sum())
    return found


def painted(occlusion: Any, colour: tuple[int, int, int]) -> NDArray[np.float64]:
    """Log-probabilities [rows, cols, classes] of the picture with each square painted."""
    window = occlusion["window"]

    def covered(top: int, left: int) -> NDArray[np.float64]:
        pixels = PIXELS.copy()
        pixels[top : top + window, left : left + window] = colour
        return log_probabilities(pixels)

    return np.array([[covered(top, left) for left in occlusion["lefts"]] for top in occlusion["tops"]])


# 13/7 and 10/4 leave a margin, 37 is the whole picture.
@pytest.mark.parametrize(("window", "stride"), [(13, 7), (10, 4), (13, 8), (37, 37)])
@pytest.mark.parametrize(("target", "contrast"), [(None, "class 2"), ("n1", "0"), ("4", "second"), (None, "SECOND ")])
def test_the_grids_are_those_of_painted_squares(
    served: Service, window: int, stride: int, target: str | None, contrast: str
) -> None:
    options = {"window": str(window), "stride": str(stride), "contrast": contrast, "top_k": "4"}
    answer = explained(served, **options, **({} if target is None else {"target": target}))
    clean = log_probabilities(PIXELS)
    order = list((-clean).argsort())
    chosen = order[0] if target is None else {"n1": 1, "4": 4}[target]
    other = {"class 2": 2, "0": 0}.get(contrast, next(index for index in order if index != chosen))
    occlusion = answer["occlusion"]
    expected = painted(occlusion, (0x40, 0x60, 0xA0))

    assert answer["target"]["class_index"] == chosen
    assert [one["class_index"] for one in occlusion["by_class"]] == order[:4]
    for one, prediction in zip(occlusion["by_class"], answer["predictions"], strict=True):
        assert (one["synset"], one["label"]) == (prediction["synset"], prediction["label"])
        assert one["unoccluded"] == prediction["probability"]
        assert one["unoccluded"] == pytest.approx(np.exp(clean[one["class_index"]]), abs=1e-4)
        np.testing.assert_allclose(one["probability"], np.exp(expected[..., one["class_index"]]), atol=1e-4)

    found = occlusion["contrast"]
    assert (found["class_index"], found["synset"], found["label"]) == (other, f"n{other}", f"class {other}")
    log_odds = expected[..., chosen] - expected[..., other]
    np.testing.assert_allclose(found["log_odds"], log_odds, atol=1e-3)
    assert found["unoccluded"] == pytest.approx(clean[chosen] - clean[other], abs=1e-3)
    row, col = (occlusion[side].index(found["worst"][corner]) for side, corner in (("tops", "top"), ("lefts", "left")))
    assert found["log_odds"][row][col] == np.min(found["log_odds"]) == pytest.approx(found["worst"]["log_odds"])


def test_nothing_more_is_evaluated(served: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    whole = served.explainer.chain.run
    occluder = served.explainer._occluders.of(torch.float32)
    covered = type(occluder).__call__

    def run(x: torch.Tensor) -> Any:
        passes.append(len(x))
        return whole(x)

    def called(*args: Any) -> Any:
        passes.append(len(args[4]))
        return covered(*args)

    monkeypatch.setattr(served.explainer.chain, "run", run)
    monkeypatch.setattr(type(occluder), "__call__", called)
    explained(served)
    plain_passes = passes.copy()
    passes.clear()
    explained(served, contrast="second", top_k="5")
    assert passes == plain_passes == [1, 25]


def test_classes_rank_where_their_probabilities_are_all_zero() -> None:
    chain = like_zfnet(size=(3, SIDE, SIDE))
    chain.get_parameter("fc2.weight").zero_()
    chain.get_parameter("fc2.bias").copy_(torch.tensor([0.0, 50, 300, 150, 50]))
    served = Service(
        Explainer(Checkpoint(chain, record(5, SIDE, TEMPERATURE)), torch.device("cpu")), "small", "1", Limits()
    )
    order = [2, 3, 1, 4, 0]
    [predicted] = served.answer([sent({"data": PNG}, False)], ["id"])
    explained_too = explained(served, contrast="second")
    for answer in (json.loads(predicted.body), explained_too):
        assert [one["class_index"] for one in answer["predictions"]] == order
        assert [one["probability"] for one in answer["predictions"]] == [1, 0, 0, 0, 0]
    assert explained_too["occlusion"]["contrast"]["class_index"] == 3


def test_there_is_no_contrast_unless_asked(served: Service) -> None:
    assert "contrast" not in explained(served)["occlusion"]


@pytest.mark.parametrize("target", [None, "class 1"])
def test_the_target_is_no_contrast(served: Service, target: str | None) -> None:
    index = int(log_probabilities(PIXELS).argmax()) if target is None else 1
    options = OCCLUSION | ({} if target is None else {"target": target})
    error = refused(served, **options, contrast=f"n{index}")
    assert (error["code"], error["option"]) == ("invalid_option", "contrast")
    assert error["message"] == f"`contrast` is class {index}, the target itself: name another class, or `second`"


def test_a_net_of_one_class_has_nothing_to_compare_with() -> None:
    chain = seeded(Chain(named(*LAYERS, nn.Linear(4 * 8 * 8, 1)), (3, 8, 8)), 0)
    served = Service(Explainer(Checkpoint(chain, record(1, 8, TEMPERATURE)), torch.device("cpu")), "one", "1", Limits())
    options = {"data": PNG, "methods": "occlusion", "window": "4", "crosscheck": "captum"}
    error = json.loads(ask(served, {**options, "contrast": "second"}))["error"]
    assert error["message"] == "`contrast` needs another class, and this net knows only one"
    answer = json.loads(ask(served, options))
    assert [one["class_index"] for one in answer["crosscheck"]["occlusion"]["by_class"]] == [0]
    assert answer["crosscheck"]["occlusion"]["agrees"]


@pytest.mark.parametrize("unknown", ["class 5", "5", "third", ""])
def test_an_unknown_class_is_refused_in_words(served: Service, unknown: str) -> None:
    error = refused(served, **OCCLUSION, contrast=unknown)
    assert (error["code"], error["option"]) == ("invalid_option", "contrast")
    assert error["message"].startswith("`contrast` must be ")


def test_it_is_an_option_of_occlusion(served: Service) -> None:
    error = refused(served, methods="deconv", contrast="second")
    assert error["message"] == "`contrast` is an option of the method occlusion, which `methods` leaves out"


def test_npz_and_tensors_have_the_logits_and_the_log_odds(served: Service) -> None:
    options = {name: value for name, value in OCCLUSION.items() if name != "images"} | {"contrast": "second"}
    answer = explained(served, contrast="second")["occlusion"]
    npz = np.load(io.BytesIO(ask(served, {"data": PNG, **options, "format": "npz"})), allow_pickle=False)
    outputs = dict(tensors(served, options))
    for arrays in (npz, outputs):
        logits = arrays["occlusion.logits"]
        assert (logits.shape, logits.dtype) == ((5, 5, 5), np.float32)
        scaled = logits.astype(float) / TEMPERATURE
        expected = painted(answer, (0x40, 0x60, 0xA0))
        np.testing.assert_allclose(scaled - np.log(np.exp(scaled).sum(2, keepdims=True)), expected, atol=1e-3)
        np.testing.assert_allclose(arrays["occlusion.contrast.log_odds"], answer["contrast"]["log_odds"], rtol=1e-6)
        assert arrays["occlusion.contrast.class_index"] == answer["contrast"]["class_index"]
        assert arrays["occlusion.contrast.unoccluded"] == pytest.approx(answer["contrast"]["unoccluded"])


def tensors(served: Service, options: dict[str, str]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The outputs of the Open Inference Protocol, those in binary and those in JSON, which are the same."""
    whole = [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [B64]}]
    [answer] = served.answer(
        [sent({"body": {"inputs": whole, "parameters": options | {"binary_data_output": True}}}, True, True)], ["id"]
    )
    length = int(answer.headers["Inference-Header-Content-Length"])
    in_json = json.loads(ask(served, {"body": {"inputs": whole, "parameters": options}}, kserve=True))
    said = {output["name"]: output["data"] for output in in_json["outputs"]}
    at = length
    for output in json.loads(answer.body[:length])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        if output["datatype"] != "BYTES":
            dtype = {"FP32": np.float32, "INT64": np.int64}[output["datatype"]]
            values: NDArray[Any] = np.frombuffer(answer.body[at : at + size], dtype)
            assert values.tolist() == np.array(said[output["name"]], dtype).tolist()
            yield output["name"], values.reshape(output["shape"])
        at += size


@pytest.mark.parametrize("contrast", [None, "n4"])
def test_captum_checks_a_second_class_too(served: Service, contrast: str | None) -> None:
    answer = explained(served, crosscheck="captum", target="n2", **({} if contrast is None else {"contrast": contrast}))
    check = answer["crosscheck"]["occlusion"]
    order = [p["class_index"] for p in answer["predictions"] if p["class_index"] != 2]
    assert [one["class_index"] for one in check["by_class"]] == [2, 4 if contrast else order[0]]
    assert check["agrees"]
    assert check["max_relative_difference"] == max(one["max_relative_difference"] for one in check["by_class"])


def test_probabilities_are_calibrated_wherever_they_are_answered(served: Service) -> None:
    expected = np.exp(log_probabilities(PIXELS))
    [answer] = served.answer([sent({"data": PNG, "top_k": "5"}, False)], ["id"])
    found = {p["class_index"]: p["probability"] for p in json.loads(answer.body)["predictions"]}
    np.testing.assert_allclose([found[i] for i in range(5)], expected, atol=1e-5)
    whole = explained(served, target="n3")
    assert whole["target"]["probability"] == pytest.approx(expected[3], abs=1e-5)
    assert whole["occlusion"]["unoccluded"] == whole["target"]["probability"]


# A thousand classes


LAYERS = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten()


@pytest.fixture(scope="module")
def thousand() -> Service:
    chain = seeded(Chain(named(*LAYERS, nn.Linear(4 * SIDE * SIDE, 1000)), (3, SIDE, SIDE)), 0)
    return Service(
        Explainer(Checkpoint(chain, record(1000, SIDE, TEMPERATURE)), torch.device("cpu")), "thousand", "1", Limits()
    )


def test_a_thousand_classes_are_answered(thousand: Service) -> None:
    answer = explained(thousand, top_k="1000", contrast="second")["occlusion"]
    total = sum(np.array(one["probability"]) for one in answer["by_class"])
    np.testing.assert_allclose(total, np.ones((5, 5)), atol=1e-5)


# 900 squares of 8 pixels at every pixel: of a thousand classes about 10 MB in JSON, 3.6 MB as float32.
MANY = {"methods": "occlusion", "images": "false", "window": "8", "stride": "1"}


@pytest.fixture
def idle(thousand: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Which fails where it is made to work."""

    def explain(*_: object) -> None:
        raise AssertionError("it was computed")

    monkeypatch.setattr(thousand.explainer, "explain", explain)
    return thousand


def code_of(served: Service, **options: str) -> str:
    return str(refused(served, **options)["code"])


def test_grids_that_cannot_fit_are_refused_before_the_work(idle: Service) -> None:
    error = refused(idle, **MANY, top_k="1000")
    assert (error["code"], error["option"]) == ("too_much_work", "top_k")
    assert error["message"] == (
        "900 squares x 1,000 classes are an answer over this server's 6,500,000 bytes: ask for a smaller `top_k`, a "
        "larger `stride`, or for npz"
    )
    assert code_of(idle, **MANY, top_k="500") == "internal_error"
    drawn = {name: value for name, value in MANY.items() if name != "images"} | {"format": "png"}
    assert code_of(idle, **drawn, top_k="1000") == "internal_error"
    body = {"instances": [{"b64": B64}] * 2, "parameters": MANY | {"top_k": 500}}
    assert "2 pictures x 900 squares x 500 classes" in ask(idle, {"body": body}, kserve=True).decode()


def test_logits_that_cannot_fit_are_refused_before_the_work(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    npz = {name: value for name, value in MANY.items() if name != "images"} | {"format": "npz"}
    assert code_of(idle, **npz) == "internal_error"
    monkeypatch.setattr(idle, "limits", Limits(max_response_bytes=3_599_999))
    error = refused(idle, **npz)
    assert (error["code"], error["option"]) == ("too_much_work", "stride")
    assert error["message"].startswith(
        "logits of 900 squares x 1,000 classes are an answer over this server's 3,599,999"
    )


@pytest.mark.parametrize(
    ("outputs", "computed"), [(None, False), (["occlusion.logits"], False), (["occlusion.target_probability"], True)]
)
def test_tensors_of_logits_too(
    idle: Service, outputs: list[str] | None, computed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "limits", Limits(max_response_bytes=3_599_999))
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [B64]}
    named_outputs = {} if outputs is None else {"outputs": [{"name": name} for name in outputs]}
    parameters = {name: value for name, value in MANY.items() if name != "images"}
    body = {"inputs": [tensor], "parameters": parameters, **named_outputs}
    error = json.loads(ask(idle, {"body": body}, kserve=True))["error"]
    assert ("the server failed" in error) is computed
    assert ("900,000 logits are an answer over this server's 3,599,999 bytes" in error) is not computed
