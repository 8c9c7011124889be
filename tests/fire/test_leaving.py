"""A client that leaves before its answer."""

import socket

import httpx

from zfnet_explainer.torchserve.server import RunningServer

from ..waiting import wait_for
from .cases import BOUNDARY, EXPLAIN, PREDICT, SMALL, Case, form, workers

BEGUN = "Backend received inference"


def test_a_client_that_leaves_costs_the_others_its_one_request(target: RunningServer, attacker: httpx.Client) -> None:
    before = workers(target)
    log = target.folder.logs / "model_log.log"
    begun = log.read_text().count(BEGUN)
    case = form("", [("data", SMALL), ("window", "56"), ("stride", "28"), ("methods", "occlusion")], 200, None)
    url = httpx.URL(target.inference_url)
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall(head(case) + case.content)
        wait_for(lambda: log.read_text().count(BEGUN) > begun, "the request did not reach the worker")
    assert attacker.post(PREDICT, content=SMALL).status_code == 200
    wait_for(lambda: "request gone: 200" in log.read_text(), "it was not answered, though nobody would have heard")
    assert workers(target) == before


def head(case: Case) -> bytes:
    return (
        f"POST {EXPLAIN} HTTP/1.1\r\nHost: x\r\nX-Request-Id: gone\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(case.content)}\r\n\r\n"
    ).encode()
