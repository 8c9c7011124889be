"""A Prometheus with a configuration and the rules of deploy/ and a quicker clock."""

import math
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from zfnet_explainer.torchserve.ports import LOOPBACK, free_ports

from ..waiting import wait_for
from .boards import DEPLOY

FOLDER = DEPLOY / "prometheus"
INTERVAL = "1s"

Config = dict[str, Any]


@dataclass(frozen=True)
class Prometheus:
    """Its API."""

    client: httpx.Client

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Labels and values of an instant query; a query that Prometheus refuses fails here."""
        found = self.ask("query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def label_values(self, query: str) -> list[str]:
        """What Grafana's label_values(selector, label) finds."""
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert match is not None, query
        values: list[str] = self.ask(f"label/{match[2]}/values", **{"match[]": match[1]})
        return values

    def ask(self, path: str, **parameters: str) -> Any:
        answer = self.client.get(f"/api/v1/{path}", params=parameters)
        assert answer.is_success, f"{parameters}: {answer.text}"
        return answer.json()["data"]


def finite(samples: list[tuple[dict[str, str], float]]) -> list[tuple[dict[str, str], float]]:
    """Those with a number: NaN is what an empty ratio gives, and a panel shows nothing of it."""
    return [(labels, value) for labels, value in samples if math.isfinite(value)]


def config_of(name: str) -> Config:
    """One of the deployed configurations."""
    config: Config = yaml.safe_load((FOLDER / name).read_text())
    return config


@contextmanager
def running_prometheus(folder: Path, config: Config) -> Iterator[Prometheus]:
    """A Prometheus on the loopback with this configuration for as long as the context lasts."""
    [port] = free_ports(1)
    address = f"{LOOPBACK}:{port}"
    command = ["prometheus", f"--config.file={_written(folder, config)}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=log)
    try:
        with httpx.Client(base_url=f"http://{address}", trust_env=False, timeout=30) as client:
            wait_for(lambda: _ready(client), f"Prometheus is not ready: {folder / 'prometheus.log'}")
            yield Prometheus(client)
    finally:
        process.terminate()
        process.wait()


def _written(folder: Path, config: Config) -> Path:
    """The configuration, and copies of the rules, with short intervals."""
    config["global"] = {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL}
    for name in config["rule_files"]:
        rules = yaml.safe_load((FOLDER / name).read_text())
        for group in rules["groups"]:
            group["interval"] = INTERVAL
        (folder / name).write_text(yaml.safe_dump(rules))
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").is_success
    except httpx.TransportError:  # it does not listen yet
        return False
