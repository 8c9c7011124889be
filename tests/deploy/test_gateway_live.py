"""The gateway in front of real servers: the net's, and one that can be filled and killed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.torchserve.server import RunningServer, running_server

from ..document import check, response
from ..needs import needs
from ..samples import encoded, noise
from ..torchserve.archives import one_worker
from ..waiting import wait_for
from .gateway import EXPLAIN, PREDICT, Gateway, refusal, running_gateway

pytestmark = needs("envoy")

SMALL = {"window": "112", "stride": "112", "features": "2"}
# Answers once the file that the body names is there; ends its process where the body says so.
WAITING = b"""
import os
import time
from pathlib import Path

class Waiting:
    def initialize(self, context):
        pass

    def handle(self, rows, context):
        [row] = rows
        if row["body"] == b"die":
            os._exit(1)
        Path(row["body"].decode() + ".started").touch()
        while not Path(row["body"].decode()).exists():
            time.sleep(0.01)
        return ["ok"]
"""


@pytest.fixture(scope="module")
def real(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The net's server is both pools."""
    address = server.inference_url.removeprefix("http://")
    pools = {"predict": [address], "explain": [address]}
    with running_gateway(tmp_path_factory.mktemp("real"), pools) as running:
        yield running


def test_answers_come_through_with_the_clients_id(real: Gateway) -> None:
    picture = encoded(noise())
    with real.client() as client:
        for path, options in ((PREDICT, {}), (EXPLAIN, SMALL)):
            answer = client.post(path, files={"data": picture}, data=options, headers={"X-Request-Id": "mine-7"})
            assert answer.status_code == 200
            check(response(path, 200)["content"]["application/json"]["schema"], answer.json())
            assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine-7"
        figure = client.put(EXPLAIN, files={"data": picture}, data={**SMALL, "format": "png"})
        assert (figure.status_code, figure.headers["content-type"]) == (200, "image/png")
        unnamed = client.post(PREDICT, content=picture)
        assert unnamed.json()["request_id"] == unnamed.headers["x-request-id"]


def test_options_in_the_query_are_the_servers(real: Gateway) -> None:
    with real.client() as client:
        figure = client.post(EXPLAIN, params={**SMALL, "format": "png"}, content=encoded(noise()))
        assert (figure.status_code, figure.headers["content-type"]) == (200, "image/png")
        unknown = client.post(EXPLAIN, params={"frmat": "png"}, content=encoded(noise()))
        assert (unknown.status_code, unknown.json()["error"]["option"]) == (400, "frmat")
        twice = client.post(EXPLAIN, params={"format": "png"}, files={"data": encoded(noise())}, data={"format": "png"})
        assert (twice.status_code, twice.json()["error"]["message"]) == (400, "`format` is given twice")


def test_the_page_is_open(real: Gateway) -> None:
    with real.client(None) as browser:
        answer = browser.get(EXPLAIN, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert answer.text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"nothing", 415, "unsupported_image"), (encoded(noise())[:5000], 422, "undecodable_image")],
    ids=["no picture", "half a picture"],
)
def test_what_the_handler_refuses_is_said_in_its_words(
    real: Gateway, server: RunningServer, body: bytes, status: int, code: str
) -> None:
    named = {"X-Request-Id": "mine"}
    direct = httpx.post(f"{server.inference_url}{PREDICT}", content=body, headers=named, trust_env=False)
    with real.client() as client:
        answer = client.post(PREDICT, content=body, headers=named)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.content == direct.content


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nnameless\r\n--b--\r\n"),
        ("application/x-www-form-urlencoded", encoded(noise(), "JPEG") + b"%"),  # as curl --data-binary calls a picture
    ],
    ids=["nameless", "a picture"],
)
def test_a_form_that_breaks_torchserve_is_the_clients_fault(
    real: Gateway, server: RunningServer, content_type: str, body: bytes
) -> None:
    headers = {"Content-Type": content_type}
    direct = httpx.post(f"{server.inference_url}{PREDICT}", content=body, headers=headers, trust_env=False)
    assert direct.status_code == 500
    assert direct.json()["type"] == "ErrorDataDecoderException"
    with real.client() as client:
        answer = client.post(PREDICT, content=body, headers=headers)
    assert (answer.status_code, refusal(answer)["code"]) == (400, "malformed_body")
    assert "curl -T FILE, or -H 'Content-Type: image/jpeg' --data-binary @FILE" in answer.text


@pytest.mark.slow
def test_a_full_queue_and_a_dead_worker(tmp_path: Path) -> None:
    archive = one_worker(tmp_path / "waiting.mar", WAITING, "jobQueueSize: 1\n")
    with running_server(archive, tmp_path / "run") as server:
        address = server.inference_url.removeprefix("http://")
        (tmp_path / "gateway").mkdir()
        pools = {"predict": [address], "explain": [address]}
        with running_gateway(tmp_path / "gateway", pools) as gateway, gateway.client() as client:
            full_queue(client, server, tmp_path / "go-on")
            answer = client.post(EXPLAIN, content=b"die", headers={"X-Request-Id": "mine"})
    assert (answer.status_code, refusal(answer)["code"]) == (500, "internal_error")
    assert refusal(answer)["request_id"] == "mine"


def full_queue(client: httpx.Client, server: RunningServer, go_on: Path) -> None:
    """One request is answered, one waits: the third is refused, and both others get their answers."""
    body = str(go_on).encode()
    with ThreadPoolExecutor() as executor:
        try:
            taken = [executor.submit(client.post, EXPLAIN, content=body)]
            wait_for(go_on.with_name(f"{go_on.name}.started").exists, "no worker has begun the first")
            taken.append(executor.submit(client.post, EXPLAIN, content=body))
            wait_for(lambda: room(server) == 0, "the second does not wait")
            refused = client.post(EXPLAIN, content=body)
        finally:
            go_on.touch()
    assert (refused.status_code, refusal(refused)["code"]) == (503, "unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert [one.result().text for one in taken] == ["ok", "ok"]


def room(server: RunningServer) -> int:
    """How many more requests the server's queue takes."""
    [model] = httpx.get(f"{server.management_url}/models/zfnet", trust_env=False).json()
    left: int = model["jobQueueStatus"]["remainingCapacity"]
    return left
