"""One of two real servers is stopped under load: nobody behind the gateway notices."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.torchserve.config import ServerOptions

from ..needs import needs
from ..torchserve.archives import waiting_archive
from ..torchserve.running import ask, serve, started
from ..waiting import PATIENCE_S, wait_for
from .gateway import EXPLAIN, PREDICT, Config, Discovery, Gateway, routes_of, running_gateway, without_budgets

pytestmark = [pytest.mark.slow, needs("envoy")]


@dataclass
class Clients:
    """Clients that ask again as soon as they are answered, until they are told to stop."""

    gateway: Gateway
    stop: threading.Event = field(default_factory=threading.Event)

    def predict(self, name: str) -> None:
        """Raise whatever is not the right answer."""
        with self.gateway.client() as client:
            for number in count():
                body = f"{name} {number}".encode()
                answer = client.post(PREDICT, content=body)
                assert (answer.status_code, answer.content) == (200, body)
                if self.stop.is_set():
                    return

    def explain(self, go: Path) -> httpx.Response:
        with self.gateway.client() as client:
            return client.post(EXPLAIN, content=str(go).encode())

    def answered(self, address: str) -> int:
        """How many answers this server has given."""
        return sum(line["server"] == address for line in self.gateway.log())


def test_a_server_stopped_under_load_fails_no_request(tmp_path_factory: pytest.TempPathFactory) -> None:
    tmp_path = tmp_path_factory.mktemp("drain")  # a short one: the paths of the workers' sockets are bounded
    options = [ServerOptions.on_free_ports() for _ in range(2)]
    addresses = [one.inference_url.removeprefix("http://") for one in options]
    archive = waiting_archive(tmp_path / "waiting.mar")
    folders = [tmp_path / "going", tmp_path / "staying"]
    lines = [
        serve(folder, one, "--archive", archive, "--settle-seconds", "2")
        for folder, one in zip(folders, options, strict=True)
    ]
    go = [tmp_path / f"go-{i}" for i in range(6)]
    pools = [Discovery(pool, tmp_path, addresses) for pool in ("predict", "explain")]

    def change(config: Config) -> None:
        without_budgets(config)
        for pool in pools:
            pool.apply(config)
        [explain] = [one for one in config["static_resources"]["clusters"] if one["name"] == "explain"]
        explain["lb_policy"] = "ROUND_ROBIN"  # half of them to each server
        routes_of(config)[1]["predict"]["route"]["timeout"] = f"{PATIENCE_S}s"

    with (
        started(lines[0], until="Ctrl-C") as (going, _),
        started(lines[1], until="Ctrl-C"),
        running_gateway(tmp_path, dict.fromkeys(("predict", "explain"), addresses), change) as gateway,
        ThreadPoolExecutor(4 + len(go)) as threads,
    ):
        clients = Clients(gateway)
        try:
            predictions = [threads.submit(clients.predict, f"client {i}") for i in range(4)]
            wait_for(lambda: all(clients.answered(one) > 10 for one in addresses), "not both servers answer")
            explanations = [threads.submit(clients.explain, waited_for) for waited_for in go]
            begun = [one.with_name(f"{one.name}.started") for one in go]
            wait_for(lambda: sum(one.exists() for one in begun) == 2, "not both servers have begun one")

            going.send_signal(signal.SIGTERM)
            wait_for(lambda: ask(folders[0] / "run", "ready")[0] == 1, "it is still ready")
            for pool in pools:
                pool.list(addresses[1:])
            for waited_for in go:
                waited_for.touch()
            assert {explanation.result().status_code for explanation in explanations} == {200}
            rest, errors = going.communicate(timeout=PATIENCE_S)
            before = clients.answered(addresses[1])
            wait_for(lambda: clients.answered(addresses[1]) > before + 10, "the other server answers no more")
        finally:
            clients.stop.set()
            for waited_for in go:
                waited_for.touch()
        for prediction in predictions:
            prediction.result()
        assert (going.returncode, errors, rest.splitlines()[-1]) == (0, "", "stopped")
        assert {line["status"] for line in gateway.log()} == {200}
