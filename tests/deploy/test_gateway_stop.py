"""What a pod of the gateway does before it is ended: clients that keep a connection are told to make another."""

import json
import subprocess
from collections.abc import Iterator

import httpx
import pytest
import yaml

from .conftest import Pools
from .gateway import PREDICT, Gateway
from .manifests import DEPLOY, server

ADMIN = 9901  # as deployed, in deploy/gateway/envoy.yaml


def pre_stop() -> list[str]:
    """The hook's command as deployed."""
    manifests = yaml.safe_load_all((DEPLOY / "kubernetes" / "base" / "gateway.yaml").read_text())
    [deployment] = [one for one in manifests if one["kind"] == "Deployment"]
    command: list[str] = server(deployment)["lifecycle"]["preStop"]["exec"]["command"]
    return command


@pytest.fixture
def admin(gateway: Gateway) -> Iterator[int]:
    """The port from which the gateway is controlled; it is as before when the test is over."""
    config = json.loads((gateway.folder / "envoy.json").read_text())
    port: int = config["admin"]["address"]["socket_address"]["port_value"]
    yield port
    httpx.post(f"http://127.0.0.1:{port}/healthcheck/ok", trust_env=False).raise_for_status()


def test_a_client_that_keeps_its_connection_is_told_that_it_closes(
    gateway: Gateway, admin: int, pools: Pools, alice: httpx.Client
) -> None:
    before = alice.post(PREDICT, content=b"x")
    assert (before.status_code, before.headers.get("connection")) == (200, None)
    *bash, script = pre_stop()
    here = script.replace(str(ADMIN), str(admin)).replace("sleep 60", "sleep 0")
    subprocess.run([*bash, here], check=True, capture_output=True, timeout=60)
    for _ in range(2):  # the second on a new connection: what still comes is answered, until the end
        after = alice.post(PREDICT, content=b"x")
        assert (after.status_code, after.headers.get("connection")) == (200, "close")
    assert len(pools["predict"].seen) == 3
    ready = httpx.get(f"{gateway.internal_url}/ready", trust_env=False)
    assert (ready.status_code, ready.text) == (503, "DRAINING\n")


def test_the_hook_asks_where_the_gateway_is_controlled() -> None:
    envoy = yaml.safe_load((DEPLOY / "gateway" / "envoy.yaml").read_text())
    assert envoy["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": ADMIN}
    assert f"/dev/tcp/127.0.0.1/{ADMIN} " in pre_stop()[-1]
