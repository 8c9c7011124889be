"""One real server, scraped by a real Prometheus under a small mixed load."""

from collections.abc import Iterator

import httpx
import pytest

from zfnet_explainer.torchserve.server import RunningServer

from ..waiting import wait_for
from .load import send
from .prometheus import Prometheus, config_of, running_prometheus


@pytest.fixture(scope="session")
def prometheus(
    server: RunningServer, client: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus that has seen every counter of the server grow, under a job of another name than the shipped one."""
    config = config_of("prometheus.yml")
    [job] = config["scrape_configs"]
    job |= {"job_name": "inference", "static_configs": [{"targets": [server.metrics_url.removeprefix("http://")]}]}
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), config) as running:
        for _ in range(2):  # a rate needs a counter that is seen before it grows and after
            expected = answered(server) + send(client)
            wait_until_counted(running, expected)
        for _ in range(2):  # the next evaluation may be of a moment before the last growth, the one after it is not
            wait_until_evaluated(running)
        yield running


def wait_until_counted(prometheus: Prometheus, expected: float) -> None:
    wait_for(lambda: counted(prometheus) == expected, f"Prometheus does not see {expected:.0f} requests")


def wait_until_evaluated(prometheus: Prometheus) -> None:
    """Until Prometheus has computed every rule once more."""
    before = evaluations(prometheus)
    wait_for(
        lambda: all(now != then for now, then in zip(evaluations(prometheus), before, strict=True)),
        "Prometheus does not evaluate its rules",
    )


def evaluations(prometheus: Prometheus) -> list[str]:
    """When each rule was computed last, in the rules' order."""
    return [rule["lastEvaluation"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]


def answered(server: RunningServer) -> float:
    """The requests that the server itself has counted; other tests may have asked it before."""
    lines = httpx.get(f"{server.metrics_url}/metrics", trust_env=False).text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("zfnet_requests_total{"))


def counted(prometheus: Prometheus) -> float:
    """The requests that Prometheus knows of."""
    return sum(value for _, value in prometheus.query("sum(zfnet_requests_total)"))
