"""Requests over HTTP against the real server, as a client writes them."""

import base64
import io
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from ..samples import SAMPLE, encoded, noise

CHEAP = {"window": "112", "stride": "112", "features": "2"}


def explain(client: httpx.Client, picture: bytes, **options: str) -> httpx.Response:
    return client.post("/explanations/zfnet", files={"data": picture}, data=options)


def predicted(client: httpx.Client, picture: bytes) -> dict[int, float]:
    """Probability by class index, all classes."""
    answer = client.post("/predictions/zfnet", files={"data": picture}, data={"top_k": "20"})
    assert answer.status_code == 200, answer.text
    return {p["class_index"]: p["probability"] for p in answer.json()["predictions"]}


def test_a_photograph_is_recognised(client: httpx.Client) -> None:
    answer = client.put("/predictions/zfnet", content=SAMPLE.read_bytes())
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["predictions"][0]["label"] == "church"
    assert answer.json()["model"]["device"] == "cpu"


def test_an_explanation_comes_as_json_npz_and_png(client: httpx.Client) -> None:
    picture = SAMPLE.read_bytes()
    answer = explain(client, picture, others="9", **CHEAP).json()
    npz = np.load(io.BytesIO(explain(client, picture, format="npz", **CHEAP).content), allow_pickle=False)
    png = Image.open(io.BytesIO(explain(client, picture, format="png", **CHEAP).content))
    occlusion = answer["occlusion"]
    np.testing.assert_allclose(npz["occlusion.target_probability"], occlusion["target_probability"], atol=1e-6)
    strongest = answer["deconv"]["layers"][0]["features"][0]
    assert npz[f"deconv.5.{strongest['feature']}.projection"].shape == (224, 224, 3)
    shown = Image.open(io.BytesIO(base64.b64decode(strongest["projection"])))
    box = strongest["receptive_field"]
    assert shown.size == (box["right"] - box["left"], box["bottom"] - box["top"])
    assert len(strongest["others"]) == 9
    assert png.format == "PNG"


@pytest.mark.parametrize(("window", "stride", "rows"), [(17, 10, 22), (50, 12, 16)])
def test_the_grid_is_what_a_client_measures(client: httpx.Client, window: int, stride: int, rows: int) -> None:
    """Squares at corners, borders and inside, painted by the client and sent to /predictions."""
    pixels = noise(seed=3)
    options = {"window": str(window), "stride": str(stride), "methods": "occlusion", "target": "church"}
    answer = explain(client, encoded(pixels), contrast="gas pump", top_k="3", **options).json()
    occlusion, target = answer["occlusion"], answer["target"]["class_index"]
    contrast = occlusion["contrast"]
    assert (occlusion["rows"], occlusion["cols"]) == (rows, rows)
    for row, col in [(0, 0), (0, rows - 1), (rows - 1, 0), (rows - 1, rows - 1), (rows - 2, 3), (7, rows // 2)]:
        top, left = occlusion["tops"][row], occlusion["lefts"][col]
        painted = pixels.copy()
        painted[top : top + window, left : left + window] = 0x80
        scores = predicted(client, encoded(painted))
        assert occlusion["target_probability"][row][col] == pytest.approx(scores[target], abs=1e-4)
        assert occlusion["most_probable_class"][row][col] == max(scores, key=lambda c: scores[c])
        log_odds = math.log(scores[target]) - math.log(scores[contrast["class_index"]])
        assert contrast["log_odds"][row][col] == pytest.approx(log_odds, abs=1e-3)
        for one in occlusion["by_class"]:
            assert one["probability"][row][col] == pytest.approx(scores[one["class_index"]], abs=1e-4)


def test_captum_agrees(client: httpx.Client) -> None:
    answer = explain(client, SAMPLE.read_bytes(), **CHEAP, layer="1,3,5", crosscheck="captum").json()
    check = answer["crosscheck"]
    assert check["library"] == "captum"
    assert check["deconv"]["agrees"]
    assert check["occlusion"]["agrees"]
    assert check["deconv"]["max_relative_difference"] < 1e-4


def test_options_travel_as_headers(client: httpx.Client) -> None:
    headers = {"X-Explain-Window": "112", "x-explain-stride": "112", "X-EXPLAIN-METHODS": "occlusion"}
    answer = client.put("/explanations/zfnet", content=SAMPLE.read_bytes(), headers=headers).json()
    assert (answer["occlusion"]["rows"], "deconv" in answer) == (2, False)
    twice = client.post(
        "/explanations/zfnet", files={"data": SAMPLE.read_bytes()}, data={"window": "112"}, headers=headers
    )
    assert twice.status_code == 400
    assert twice.json()["error"]["option"] == "window"


def test_kserve_v1_answers_each_instance(client: httpx.Client) -> None:
    good = {"data": {"b64": base64.b64encode(SAMPLE.read_bytes()).decode()}}
    body = {"instances": [good, {"data": {"b64": "AAAA"}}, good], "parameters": {"top_k": 2}}
    first, second, third = client.post("/v1/models/zfnet:predict", json=body).json()["predictions"]
    assert first["predictions"] == third["predictions"]
    assert len(first["predictions"]) == 2
    assert second["error"]["code"] == "unsupported_image"
    body = {"instances": [good], "parameters": {"window": 112, "stride": 112, "methods": "occlusion"}}
    explained = client.post("/v1/models/zfnet:explain", json=body).json()["explanations"]
    assert explained[0]["occlusion"]["rows"] == 2


def test_open_inference_protocol_answers_with_tensors(client: httpx.Client) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 224, 224, 3], "data": noise().flatten().tolist()}
    answer = client.post("/v2/models/zfnet/infer", json={"id": "a7", "inputs": [tensor]}).json()
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert answer["id"] == "a7"
    assert outputs["probabilities"]["shape"] == [1, 20]
    assert sum(outputs["probabilities"]["data"]) == pytest.approx(1, abs=1e-5)
    body = {"inputs": [tensor], "parameters": {"window": 112, "stride": 112, "methods": "occlusion"}}
    outputs = {o["name"]: o for o in client.post("/v2/models/zfnet/explain", json=body).json()["outputs"]}
    assert outputs["occlusion.target_probability"]["shape"] == [2, 2]
    assert outputs["occlusion.most_probable_class"]["datatype"] == "INT64"


def test_eight_at_once_are_each_answered_rightly(client: httpx.Client) -> None:
    """Predictions, explanations and broken requests in one batch of the worker."""
    pictures = [encoded(noise(seed=s)) for s in range(3)]
    alone = [predicted(client, picture) for picture in pictures]

    def one(i: int) -> httpx.Response:
        if i % 4 == 3:
            return client.put("/predictions/zfnet", content=b"no picture at all")
        if i % 4 == 1:
            return explain(client, pictures[i % 3], methods="occlusion", window="112", stride="112")
        return client.post("/predictions/zfnet", files={"data": pictures[i % 3]}, data={"top_k": "20"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert [a.status_code for a in answers] == [200, 200, 200, 415] * 2
    for i in (0, 2, 4, 6):
        found = {p["class_index"]: p["probability"] for p in answers[i].json()["predictions"]}
        assert found == pytest.approx(alone[i % 3], abs=1e-5)
    for i in (1, 5):
        found = answers[i].json()["occlusion"]["unoccluded"]
        assert found == pytest.approx(max(alone[i % 3].values()), abs=1e-5)
    ids = [a.json().get("request_id", a.json().get("error", {}).get("request_id")) for a in answers]
    assert len(set(ids)) == 8


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "malformed_body"),
        (b"<svg/>", 415, "unsupported_image"),
        (b"GIF89a", 422, "undecodable_image"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 21 * 2**20, 413, "too_large"),
        (encoded(noise())[:-200], 422, "undecodable_image"),
        (b'{"instances": []}', 400, "malformed_body"),
    ],
    ids=["empty", "svg", "cut-gif", "too-large", "truncated", "no-instance"],
)
def test_bad_input_gets_its_status(client: httpx.Client, content: bytes, status: int, code: str) -> None:
    answer = client.put("/predictions/zfnet", content=content)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"


def test_too_much_work_is_refused_before_it_starts(client: httpx.Client) -> None:
    answer: dict[str, Any] = explain(client, SAMPLE.read_bytes(), window="16", stride="1").json()
    assert answer["error"]["code"] == "too_much_work"
    assert "4,096" in answer["error"]["message"]
