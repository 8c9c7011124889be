"""One of two servers is gone and the other is busy: requests are tried again on the busy one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from zfnet_explainer.torchserve.ports import LOOPBACK, free_ports

from ..needs import needs
from ..waiting import wait_for
from .gateway import EXPLAIN, PREDICT, Config, running_gateway, without_budgets
from .upstream import Reply, running_upstream

LONG = b"a long one"


def forgetful(config: Config) -> None:
    """A server that cannot be reached is not left out for a while, so that request after request meets it."""
    without_budgets(config)
    for cluster in config["static_resources"]["clusters"]:
        cluster.pop("outlier_detection", None)


@needs("envoy")
@pytest.mark.parametrize("path", [PREDICT, EXPLAIN])
def test_the_server_that_answers_is_found_beside_one_that_has_no_requests(tmp_path: Path, path: str) -> None:
    """The gateway prefers the server with fewer requests, and the one that is gone never has any."""
    done = Event()

    def answer(body: bytes) -> Reply:
        if body == LONG:
            done.wait()
        return Reply()

    [gone] = free_ports(1)
    with running_upstream() as busy, ThreadPoolExecutor() as threads:
        busy.reply = answer
        addresses = [f"{LOOPBACK}:{gone}", busy.address]
        with (
            running_gateway(tmp_path, dict.fromkeys(("predict", "explain"), addresses), forgetful) as gateway,
            gateway.client() as alice,
        ):
            held = threads.submit(alice.post, path, content=LONG)
            try:
                wait_for(lambda: [one.body for one in busy.seen] == [LONG], "the long request does not arrive")
                statuses = [alice.post(path, content=b"picture").status_code for _ in range(300)]
            finally:
                done.set()
            assert held.result().status_code == 200
    assert statuses == [200] * 300
