"""Work and answers that would be too large are refused before anything is computed."""

import base64
import json
from collections.abc import Mapping
from typing import Any, NoReturn

import pytest

from tests.samples import encoded, noise
from tests.served import sent, service
from zfnet_explainer.errors import MalformedBody
from zfnet_explainer.service.service import Service
from zfnet_explainer.service.settings import Limits
from zfnet_explainer.wire import document

B64 = base64.b64encode(encoded(noise(16, 16))).decode()


class Computed(Exception):
    """The net was asked."""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Service:
    limits = Limits(max_squares=100, max_squares_crosscheck=30, max_response_bytes=64 * 2**20)
    return refusing(limits, monkeypatch)


def refusing(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service that can explain nothing, only refuse."""
    found = service(limits=limits)

    def explain(*_: object) -> None:
        raise Computed

    monkeypatch.setattr(found.explainer, "explain", explain)
    return found


def v1(served: Service, pictures: int, options: Mapping[str, Any]) -> Any:
    body = {"instances": [{"data": {"b64": B64}}] * pictures, "parameters": options}
    return answered(served, body)


def v2(served: Service, pictures: int, options: Mapping[str, Any], outputs: list[str] | None = None) -> Any:
    tensor = {"name": "image", "shape": [pictures], "datatype": "BYTES", "data": [B64] * pictures}
    named = {} if outputs is None else {"outputs": [{"name": name} for name in outputs]}
    return answered(served, {"inputs": [tensor], "parameters": options, **named})


def answered(served: Service, body: Mapping[str, Any]) -> Any:
    [answer] = served.answer([sent({"body": json.dumps(body).encode()}, explain=True, kserve=True)], ["id"])
    return json.loads(answer.body)


def was_computed(answer: Any) -> bool:
    """Whether the net was asked, which in these tests fails; else the work was refused as too much."""
    if isinstance(answer.get("error"), str):  # the Open Inference Protocol's
        failed, refused = "the server failed" in answer["error"], "ask for fewer" in answer["error"]
        assert failed != refused
        return failed
    entries = answer.get("explanations", [answer])
    codes = {entry["error"]["code"] for entry in entries}
    assert codes in ({"internal_error"}, {"too_much_work"})
    return codes == {"internal_error"}


def test_what_would_make_grids_smaller_is_named_by_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    """V1 has no npz, and the other route but one picture."""
    limited = refusing(Limits(max_response_bytes=10_000), monkeypatch)
    grids = {"methods": "occlusion", "top_k": 3}
    said = v1(limited, 2, grids)["error"]["message"]
    assert said.startswith(
        "2 pictures x 625 squares x 3 classes are an answer over this server's 10,000 bytes: ask for "
    )
    assert said.endswith("ask for fewer pictures, a smaller `top_k` or a larger `stride`")
    [answer] = limited.answer([sent({"data": encoded(noise(16, 16)), "top_k": "3"}, explain=True)], ["id"])
    assert json.loads(answer.body)["error"]["message"].endswith(
        "ask for a smaller `top_k`, a larger `stride`, or for npz"
    )


# 25 squares a picture: windows of 56 in 224 at every 42nd pixel; 81 at every 21st.
SQUARES = {"methods": "occlusion", "window": 56, "stride": 42}


@pytest.mark.parametrize(
    ("pictures", "options", "computed"),
    [
        (16, SQUARES, True),
        (5, {**SQUARES, "stride": 21}, False),
        (4, {**SQUARES, "stride": 21}, True),
        (1, {**SQUARES, "stride": 21}, True),
        (4, {**SQUARES, "crosscheck": "captum"}, True),
        (5, {**SQUARES, "crosscheck": "captum"}, False),
        (16, {"methods": "deconv", "features": 16}, True),
        (16, {"methods": "deconv", "features": 17}, False),
        (16, {"methods": "deconv", "layer": "1,2", "features": 9}, False),
        (16, {"methods": "deconv", "feature": ",".join(map(str, range(17)))}, False),
    ],
)
def test_pictures_together_have_four_times_the_bound_of_one(
    served: Service, pictures: int, options: Mapping[str, Any], computed: bool
) -> None:
    assert was_computed(v1(served, pictures, options)) is computed


def test_the_refusal_says_what_would_fit(served: Service) -> None:
    error = v1(served, 16, {**SQUARES, "stride": 21})["error"]
    assert error["option"] == "stride"
    assert error["message"] == (
        "16 pictures x 81 squares are more than this server's 400 a request: "
        "send fewer pictures at once, or ask for fewer squares"
    )


@pytest.mark.parametrize(
    ("pictures", "features", "outputs", "computed"),
    [
        # A projection of 224 x 224 x 3 zeros is 602,112 bytes of JSON, a black picture half as much: 110 and two are
        # below 64 MiB, 112 and two are not.
        (1, 64, None, True),
        (2, 55, None, True),
        (2, 56, None, False),
        (2, 64, ["probabilities"], True),
        (2, 64, ["0.deconv.5.3.projection"], True),
        (2, 64, [f"0.deconv.5.{i}.projection" for i in range(112)], False),
    ],
)
def test_tensors_that_cannot_fit_are_not_computed(
    served: Service, pictures: int, features: int, outputs: list[str] | None, computed: bool
) -> None:
    answer = v2(served, pictures, {"methods": "deconv", "features": features}, outputs)
    assert was_computed(answer) is computed


@pytest.mark.parametrize(
    ("pictures", "outputs", "computed"),
    [(13, None, True), (14, None, False), (16, ["probabilities"], True), (16, ["0.image.pixels"], True)],
)
def test_pixels_that_cannot_fit_are_not_computed(
    pictures: int, outputs: list[str] | None, computed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """14 black pictures of 301,056 bytes are over 4.2 MB."""
    limited = refusing(Limits(max_response_bytes=4_200_000), monkeypatch)
    assert was_computed(v2(limited, pictures, SQUARES, outputs)) is computed


def test_tensors_without_projections_are_small(served: Service) -> None:
    assert was_computed(v2(served, 16, SQUARES))


def test_json_of_countless_lists_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_CONTAINERS", 1_000)
    # The object and the list around them count too.
    inside = b"[]," * 997 + b"[]"
    found = document.parse(b'{"a":[' + inside + b"]}")
    assert found is not None
    assert len(found["a"]) == 998

    def loads(*_: object, **__: object) -> NoReturn:
        raise AssertionError("it was read")

    monkeypatch.setattr(json, "loads", loads)
    with pytest.raises(MalformedBody, match="more than 1,000 lists and objects"):
        document.parse(b'{"a":[' + inside + b",[]]}")
