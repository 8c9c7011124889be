"""Bad and odd requests to one server: each has the right answer, and none leaves a trace.

Of what a service reads one of each class: all of them are sent without a server, in tests/wire/test_inputs.py.
"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest

from zfnet_explainer.torchserve.server import RunningServer

from ..samples import encoded
from . import messages, odd_pictures
from .cases import PREDICT, V2_EXPLAIN, V2_PREDICT, Case, probabilities, workers
from .corpus import HTTP, judge, judge_instances, one_of_each_class
from .messages import Raw

SENT = one_of_each_class() | HTTP
RAW = {raw.name: raw for raw in messages.RAW}
# An exchange that hangs is not answered at all.
HANGS_S = 60


@dataclass(frozen=True)
class Before:
    """How the server was before anything was sent."""

    workers: list[int]
    tensors: dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def before(target: RunningServer, attacker: httpx.Client) -> Before:
    return Before(workers(target), good_answers(attacker))


@pytest.fixture(scope="module")
def plain(attacker: httpx.Client) -> dict[str, float]:
    """Probabilities of the picture that odd files hold."""
    return probabilities(attacker.post(PREDICT, content=encoded(odd_pictures.PIXELS)).json())


def send(client: httpx.Client, case: Case) -> httpx.Response:
    return client.request(case.method, case.path, content=case.content, headers=dict(case.headers))


def exchange(server: RunningServer, raw: Raw) -> bytes:
    """The beginning of what comes back for these bytes."""
    url = httpx.URL(server.inference_url)
    with socket.create_connection((url.host, url.port or 80), timeout=HANGS_S) as connection:
        connection.sendall(raw.sent)
        return connection.recv(65_536)


def good_answers(client: httpx.Client) -> dict[str, Any]:
    """Tensors in which nothing changes from one time to the next, neither ids nor times."""
    pixels = odd_pictures.PIXELS
    tensor = {"name": "image", "shape": [1, *pixels.shape], "datatype": "UINT8", "data": pixels.flatten().tolist()}
    wanted: list[tuple[str, dict[str, Any]]] = [
        (V2_PREDICT, {"id": "a", "inputs": [tensor]}),
        (V2_EXPLAIN, {"inputs": [tensor], "parameters": {"window": 112, "stride": 56, "features": 2}}),
    ]
    return {
        f"{path} {name}": value for path, body in wanted for name, value in tensors(client.post(path, json=body).json())
    }


def tensors(said: Any) -> Iterator[tuple[str, Any]]:
    for tensor in said["outputs"]:
        yield f"{tensor['name']} {tensor['shape']} {tensor['datatype']}", tensor["data"]


@pytest.mark.parametrize("name", list(SENT))
def test_each_gets_its_answer(attacker: httpx.Client, plain: dict[str, float], name: str) -> None:
    case = SENT[name]
    answer = send(attacker, case)
    if case.method == "HEAD":
        assert answer.status_code == case.status
        return
    said = judge(case, answer.status_code, answer.headers["content-type"], answer.content)
    if case.inside:
        judge_instances(case, said)
    if case.alike:
        assert probabilities(said) == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("name", list(RAW))
def test_bytes_that_are_no_request_are_refused(target: RunningServer, name: str) -> None:
    answer = exchange(target, RAW[name])
    assert answer.startswith(b"HTTP/1.1 %d " % RAW[name].status), answer[:300]


def test_no_worker_was_lost(target: RunningServer, before: Before) -> None:
    assert workers(target) == before.workers


def test_good_requests_are_answered_as_before(attacker: httpx.Client, before: Before) -> None:
    after = good_answers(attacker)
    assert list(after) == list(before.tensors)
    for name, values in after.items():
        if name.endswith("FP32"):
            scale = max(map(abs, before.tensors[name]))
            np.testing.assert_allclose(values, before.tensors[name], rtol=0, atol=1e-5 * scale, err_msg=name)
        else:
            assert values == before.tensors[name], name
