"""Open Inference Protocol answers: names, types, shapes and data of every tensor."""

import reprlib
from typing import Any

import numpy as np
import orjson
import pytest

from tests.samples import encoded, noise
from tests.served import RECORD, sent, service
from zfnet_explainer.errors import MalformedBody
from zfnet_explainer.explanation import Explanation, FloatArray, Scores
from zfnet_explainer.pictures.view import Crop, Picture
from zfnet_explainer.wire.request import Request, read
from zfnet_explainer.wire.response import Served
from zfnet_explainer.wire.v2.answers import Explained, explained, explanations, predictions
from zfnet_explainer.wire.v2.wanted import Wanted

SERVED = Served("zfnet", "1.0", "cpu", RECORD)
PICTURE = Picture(np.zeros((4, 4, 3), np.uint8), 8, 4, Crop(0, 2, 4, 4))
PLACE = {
    "target.class_index": ("INT64", [1]),
    "target.probability": ("FP32", [1]),
    "image.width": ("INT64", [1]),
    "image.height": ("INT64", [1]),
    **{f"image.crop.{side}": ("INT64", [1]) for side in ("top", "left", "height", "width")},
}
ROWS: list[FloatArray] = [np.array([0.5, 0.25, 0.25], np.float32), np.array([0.125, 0.75, 0.125], np.float32)]


def request(*outputs: str, request_id: str | None = None, pictures: int = 1) -> Request:
    wanted = Wanted(request_id, dict.fromkeys(outputs, False))
    return Request(False, "v2", (PICTURE,) * pictures, {}, "", wanted, 0.0)


def explanation(row: FloatArray) -> Explanation:
    """An explanation without projections and maps."""
    predictions = Scores(row, row).predictions
    return Explanation(np.zeros((4, 4, 3), np.uint8), row, predictions, predictions[0], None, None, None, {})


def all_explained(asked: Request) -> list[Explained]:
    return [explained(asked, number, PICTURE, explanation(row)) for number, row in enumerate(ROWS[: len(asked.sound)])]


def said(answer: tuple[bytes, dict[str, str]]) -> Any:
    """An answer in JSON alone."""
    body, headers = answer
    assert headers == {}
    return orjson.loads(body)


def outputs(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {tensor.pop("name"): tensor for tensor in answer["outputs"]}


def test_predictions() -> None:
    assert said(predictions(SERVED, request(request_id="a-1"), ROWS)) == {
        "model_name": "zfnet",
        "model_version": "1.0",
        "id": "a-1",
        "outputs": [
            {
                "name": "probabilities",
                "shape": [2, 3],
                "datatype": "FP32",
                "data": [0.5, 0.25, 0.25, 0.125, 0.75, 0.125],
            },
            {"name": "classes", "shape": [3], "datatype": "BYTES", "data": ["tench", "beagle", "golf ball"]},
        ],
    }


def test_an_id_that_was_not_sent_is_not_answered() -> None:
    assert set(said(predictions(SERVED, request(), ROWS))) == {"model_name", "model_version", "outputs"}


def test_only_the_outputs_that_were_asked_for() -> None:
    assert list(outputs(said(predictions(SERVED, request("classes"), ROWS)))) == ["classes"]
    both = said(predictions(SERVED, request("classes", "probabilities"), ROWS))
    assert list(outputs(both)) == ["probabilities", "classes"]


@pytest.mark.parametrize("name", ["image", "", "\ud800\n", "x" * 500], ids=reprlib.repr)
def test_an_output_that_is_not_there(name: str) -> None:
    with pytest.raises(
        MalformedBody, match=r"^there is no output `.{0,60}`; there are probabilities, classes$"
    ) as caught:
        predictions(SERVED, request("classes", name), ROWS)
    assert caught.value.message.isprintable()


def test_one_explanations_tensors_have_the_npz_names_and_several_a_number_before() -> None:
    one = outputs(said(explanations(SERVED, request(), all_explained(request()))))
    assert {name: (t["datatype"], t["shape"]) for name, t in one.items()} == {
        "probabilities": ("FP32", [1, 3]),
        "classes": ("BYTES", [3]),
        "image.pixels": ("INT64", [4, 4, 3]),
        **PLACE,
    }
    assert [one[f"image.crop.{side}"]["data"] for side in ("top", "left", "height", "width")] == [[0], [2], [4], [4]]
    assert (one["target.class_index"]["data"], one["target.probability"]["data"]) == ([0], [0.5])
    several = request(pictures=2)
    two = outputs(said(explanations(SERVED, several, all_explained(several))))
    names = [name for name in one if name not in ("probabilities", "classes")]
    assert list(two) == ["probabilities", "classes", *(f"{n}.{name}" for n in (0, 1) for name in names)]
    assert two["probabilities"]["data"] == [*ROWS[0], *ROWS[1]]


def test_of_an_explanation_only_what_is_wanted_is_held() -> None:
    asked = request("1.target.probability", pictures=2)
    first, second = all_explained(asked)
    assert [tensor.name for tensor in (*first.tensors, *second.tensors)] == ["1.target.probability"]
    assert list(outputs(said(explanations(SERVED, asked, [first, second])))) == ["1.target.probability"]


def test_a_whole_explanation() -> None:
    served = service()
    options = {"window": 112, "stride": 112, "features": 1, "layer": 5}
    incoming = sent({"body": {"inputs": [_tensor()], "parameters": options}}, True, True)
    [answer] = served.answer([incoming], ["id"])
    found = outputs(orjson.loads(answer.body))
    deconv = next(name for name in found if name.endswith(".projection")).removesuffix(".projection")
    assert {name: (t["datatype"], t["shape"]) for name, t in found.items()} == {
        "probabilities": ("FP32", [1, 3]),
        "classes": ("BYTES", [3]),
        "image.pixels": ("INT64", [224, 224, 3]),
        **PLACE,
        f"{deconv}.rank": ("INT64", [1]),
        f"{deconv}.projection": ("FP32", [224, 224, 3]),
        f"{deconv}.activation": ("FP32", [1]),
        f"{deconv}.position": ("INT64", [2]),
        f"{deconv}.receptive_field": ("INT64", [4]),
        "occlusion.window": ("INT64", [1]),
        "occlusion.stride": ("INT64", [1]),
        "occlusion.feature.layer": ("INT64", [1]),
        "occlusion.feature.feature": ("INT64", [1]),
        "occlusion.feature.unoccluded": ("FP32", [1]),
        "occlusion.tops": ("INT64", [2]),
        "occlusion.lefts": ("INT64", [2]),
        "occlusion.feature_activity": ("FP32", [2, 2]),
        "occlusion.logits": ("FP32", [2, 2, 3]),
        "occlusion.temperature": ("FP32", [1]),
        "occlusion.target_probability": ("FP32", [2, 2]),
        "occlusion.unoccluded": ("FP32", [1]),
        "occlusion.most_probable_class": ("INT64", [2, 2]),
    }
    assert all(len(t["data"]) == np.prod(t["shape"]) for t in found.values())
    assert found["image.pixels"]["data"] == noise().reshape(-1).tolist()


def test_pixels_and_their_file_give_the_same_probabilities() -> None:
    served = service()
    as_file = sent({"body": encoded(noise())}, False)
    as_pixels = sent({"body": {"inputs": [_tensor()]}}, False, True)
    assert read(as_pixels, 224).protocol == "v2"
    plain, tensors = (orjson.loads(a.body) for a in served.answer([as_file, as_pixels], ["0", "1"]))
    by_class = {p["class_index"]: p["probability"] for p in plain["predictions"]}
    assert outputs(tensors)["probabilities"]["data"] == pytest.approx([by_class[i] for i in range(3)], abs=1e-6)


def _tensor() -> dict[str, Any]:
    return {"name": "image", "datatype": "UINT8", "shape": [1, 224, 224, 3], "data": noise().reshape(-1).tolist()}
