"""Hundreds of bad and odd requests to one server: each has the right answer, and none leaves a trace."""

import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import pytest

from zfnet_explainer.serving.server import RunningServer

from ..document import SCHEMAS, check
from ..pictures import encoded
from . import bad_options, bad_pictures, documents, messages, odd_pictures
from .cases import PREDICT, V2_EXPLAIN, V2_PREDICT, Case, workers
from .messages import Raw

CASES: dict[str, Case] = {
    f"{module.__name__.rpartition('.')[2]}: {case.name}": case
    for module in (odd_pictures, bad_pictures, bad_options, documents, messages)
    for case in module.CASES
}
# A busy machine is slow, a request that hangs is not answered at all.
HANGS_S = 30
# Paths, tracebacks and addresses of objects.
INTERNALS = re.compile(r"Traceback|File \"|\.py\b|/(home|tmp|usr|opt|run|site-packages)/|\bat 0x|python\d|org\.pytorch")
MIB = 2**20
HEAVY = 24
AGAIN = 4  # times: the allocator goes up and down by some 20 MiB whatever is sent


@dataclass(frozen=True)
class Answered:
    """What came back, and how it was before and after."""

    answers: dict[str, httpx.Response]
    raw: dict[str, bytes]
    slowest: tuple[float, str]
    good: tuple[list[bytes], list[bytes]]
    workers: tuple[list[int], list[int]]
    stayed: int
    sent_again: int
    plain: list[dict[str, Any]]


@pytest.fixture(scope="module")
def answered(target: RunningServer, attacker: httpx.Client) -> Answered:
    """Everything, one request after the other."""
    before = good_answers(attacker), workers(target)
    answers, seconds = {}, {}
    for name, case in CASES.items():
        start = time.perf_counter()
        answers[name] = send(attacker, case)
        seconds[name] = time.perf_counter() - start
    raw = {one.name: exchange(target, one) for one in messages.RAW}
    heavy = sorted(CASES.values(), key=lambda case: len(case.content))[-HEAVY:]
    resident = []
    for _ in range(1 + AGAIN):  # what they need in a row, the allocator has taken after the first time
        for case in heavy:
            send(attacker, case)
        resident.append(psutil.Process(before[1][0]).memory_info().rss)
    stayed = resident[-1] - resident[0]
    slowest = max((spent, name) for name, spent in seconds.items())
    print(f"{len(CASES)} cases in {sum(seconds.values()):.1f} s; the slowest took {slowest[0]:.2f} s: {slowest[1]}")
    print(f"{stayed / MIB:+.1f} MiB of memory after the {HEAVY} largest were sent {AGAIN} times again")
    after = good_answers(attacker), workers(target)
    sent_again = AGAIN * sum(len(case.content) for case in heavy)
    plain = attacker.post(PREDICT, content=encoded(odd_pictures.PIXELS)).json()["predictions"]
    return Answered(answers, raw, slowest, (before[0], after[0]), (before[1], after[1]), stayed, sent_again, plain)


def send(client: httpx.Client, case: Case) -> httpx.Response:
    return client.request(case.method, case.path, content=case.content, headers=dict(case.headers))


def exchange(server: RunningServer, raw: Raw) -> bytes:
    """The beginning of what comes back for these bytes."""
    url = httpx.URL(server.inference_url)
    with socket.create_connection((url.host, url.port or 80), timeout=HANGS_S) as connection:
        connection.sendall(raw.sent)
        return connection.recv(65_536)


def good_answers(client: httpx.Client) -> list[bytes]:
    """Answers in which nothing changes from one time to the next, neither ids nor times."""
    pixels = odd_pictures.PIXELS
    tensor = {"name": "image", "shape": [1, *pixels.shape], "datatype": "UINT8", "data": pixels.flatten().tolist()}
    wanted: list[dict[str, Any]] = [
        {"id": "a", "inputs": [tensor]},
        {"inputs": [tensor], "parameters": {"window": 112, "stride": 56, "features": 2}},
    ]
    answers = [client.post(path, json=body) for path, body in zip((V2_PREDICT, V2_EXPLAIN), wanted, strict=True)]
    assert [answer.status_code for answer in answers] == [200, 200]
    return [answer.content for answer in answers]


def test_there_are_many() -> None:
    assert len(CASES) + len(messages.RAW) >= 300
    contents = {(case.method, case.path, case.content, str(sorted(case.headers.items()))) for case in CASES.values()}
    assert len(contents) >= len(CASES) - 5, "nearly all are different"


@pytest.mark.parametrize("name", list(CASES))
def test_each_gets_its_answer(answered: Answered, name: str) -> None:
    case, answer = CASES[name], answered.answers[name]
    assert answer.status_code == case.status, answer.text[:300]
    if case.status == 200:
        assert answer.headers["content-type"] in ("application/json", "application/x-npz")
        return
    if case.method == "HEAD":
        return
    assert not INTERNALS.search(answer.text), answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    if "type" in said:  # TorchServe's own
        check(SCHEMAS["TorchServeError"], said)
        assert said["type"] == case.code
        return
    check(SCHEMAS["Error"], said)
    assert case.code in (None, said["error"]["code"]), said
    assert said["error"]["message"].isprintable()
    assert len(answer.content) < 2000


@pytest.mark.parametrize("name", [raw.name for raw in messages.RAW])
def test_bytes_that_are_no_request_are_refused(answered: Answered, name: str) -> None:
    [raw] = [one for one in messages.RAW if one.name == name]
    assert answered.raw[name].startswith(b"HTTP/1.1 %d " % raw.status), answered.raw[name][:300]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.alike])
def test_odd_files_of_the_same_picture_are_predicted_alike(answered: Answered, name: str) -> None:
    found = answered.answers[name].json()["predictions"]
    assert [one["label"] for one in found] == [one["label"] for one in answered.plain]
    for one, other in zip(found, answered.plain, strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-6)


def strange_instances() -> Iterator[str]:
    yield from (name for name in CASES if "instance" in name and CASES[name].status == 200 and "route" not in name)


@pytest.mark.parametrize("name", list(strange_instances()))
def test_a_bad_instance_has_its_error_in_its_place(answered: Answered, name: str) -> None:
    (entries,) = json.loads(answered.answers[name].content).values()
    assert entries[-1]["error"]["code"] in ("malformed_body", "unsupported_image")
    assert all("predictions" in entry for entry in entries[:-1])


def test_none_hangs(answered: Answered) -> None:
    assert answered.slowest[0] < HANGS_S, answered.slowest


def test_no_worker_was_lost(answered: Answered) -> None:
    assert answered.workers[0] == answered.workers[1]


def test_good_requests_are_answered_as_before(answered: Answered) -> None:
    assert answered.good[0] == answered.good[1]


def test_nothing_is_kept(answered: Answered) -> None:
    """Bodies that are kept would be all that was sent again; what an allocator holds back is a fraction of it."""
    assert answered.sent_again > 100 * MIB
    assert answered.stayed < answered.sent_again / 8
