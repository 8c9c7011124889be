"""The real gateway on the loopback, with the configuration of deploy/ in front of servers of the test's own."""

import json
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import trustme
import yaml
from deploy.gateway.tokens import add_token

from zfnet_explainer.torchserve.ports import LOOPBACK, free_ports
from zfnet_explainer.torchserve.shipped import SHIPPED

from ..document import SCHEMAS, check
from ..needs import program
from ..waiting import wait_for
from .upstream import Upstream

FILES = SHIPPED / "deploy" / "gateway"
CROWD = tuple(f"client-{number}" for number in range(25))
CLIENTS = ("alice", "bob", "carol", "dave", *CROWD)
PREDICT, EXPLAIN = "/predictions/zfnet", "/explanations/zfnet"

Config = dict[str, Any]
Asked = Future[httpx.Response]


@dataclass(frozen=True)
class Gateway:
    """Where it listens, its folder, its clients' tokens, who signs its certificates and who trusts them."""

    url: str
    internal_url: str
    folder: Path
    tokens: Mapping[str, str]
    authority: trustme.CA
    trust: ssl.SSLContext

    @property
    def keys(self) -> Path:
        """The file that says who may ask."""
        return self.folder / "keys" / "keys.yaml"

    def client(self, name: str | None = "alice") -> httpx.Client:
        """A client with the token of this name, or without one."""
        headers = {"Authorization": f"Bearer {self.tokens[name]}"} if name else {}
        return httpx.Client(base_url=self.url, headers=headers, verify=self.trust, trust_env=False, timeout=60)

    def log(self) -> list[dict[str, Any]]:
        """What the access log has so far; a line may be half written."""
        whole, _, _ = (self.folder / "access.log").read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]


@contextmanager
def running_gateway(
    folder: Path, pools: Mapping[str, list[str]], change: Callable[[Config], None] = lambda _: None
) -> Iterator[Gateway]:
    """The gateway in front of these servers (host:port) a pool, for as long as the context lasts.

    Ports, paths and servers are the test's, all else is as deployed; `change` may edit the configuration.
    """
    public, internal, admin = free_ports(3)
    authority = configured(folder)
    config: Config = yaml.safe_load((folder / "envoy.yaml").read_text())
    servers = {**pools, "admin": [f"{LOOPBACK}:{admin}"]}
    config["admin"]["address"] = address_of(f"{LOOPBACK}:{admin}")
    for listener, port in zip(config["static_resources"]["listeners"], (public, internal), strict=True):
        listener["address"] = address_of(f"{LOOPBACK}:{port}")
    for cluster in config["static_resources"]["clusters"]:
        for locality in cluster["load_assignment"].get("endpoints", []):
            addresses = [address_of(server) for server in servers[cluster["name"]]]
            locality["lb_endpoints"] = [{"endpoint": {"address": address}} for address in addresses]
    change(config)
    (folder / "envoy.json").write_text(json.dumps(config))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    tokens = issue_tokens(folder / "keys" / "keys.yaml")
    gateway = Gateway(f"https://{LOOPBACK}:{public}", f"http://{LOOPBACK}:{internal}", folder, tokens, authority, trust)
    with _process(folder) as process:
        wait_for(lambda: _ready(gateway, process), "the gateway does not get ready")
        yield gateway


def configured(folder: Path) -> trustme.CA:
    """Copy the deployed files into the folder, with it in the place of /etc/zfnet/*; who signed its certificate.

    `tls` and `keys` have folders of their own, which the gateway watches: a log in them would have it read both again.
    """
    for name in ("tls", "keys"):
        (folder / name).mkdir()
    for path in FILES.iterdir():
        if path.suffix in (".yaml", ".lua"):
            text = path.read_text().replace("/etc/zfnet/gateway", str(folder)).replace("/etc/zfnet", str(folder))
            (folder / path.name).write_text(text)
    (folder / "keys.yaml").rename(folder / "keys" / "keys.yaml")
    authority = trustme.CA()
    write_certificate(folder / "tls", authority)
    return authority


def write_certificate(folder: Path, authority: trustme.CA, *, in_place: bool = False) -> None:
    """A new certificate and its key; moved into place as those of a mounted Secret are, or written there."""
    certificate = authority.issue_cert(LOOPBACK)
    for name, pem in (("tls.key", certificate.private_key_pem), ("tls.crt", certificate.cert_chain_pems[0])):
        if in_place:
            pem.write_to_path(folder / name)
        else:
            pem.write_to_path(folder / "staged.pem")
            (folder / "staged.pem").replace(folder / name)


def issue_tokens(keys: Path) -> dict[str, str]:
    """Write the gateway's keys with a token for every client; the tokens."""
    config = yaml.safe_load((FILES / "keys.yaml").read_text())
    tokens = {name: add_token(config, name, datetime.now(UTC), days=1)[0] for name in CLIENTS}
    keys.write_text(yaml.safe_dump(config))
    return tokens


class Discovery:
    """The servers of a pool in a file that the gateway follows, as it follows a cluster's DNS: those that are ready."""

    def __init__(self, pool: str, folder: Path, servers: list[str]) -> None:
        self.pool, self.path = pool, folder / f"{pool}.json"
        self.list(servers)

    def list(self, servers: list[str]) -> None:
        """These (host:port) from now on; moved into place, which is what the gateway notices."""
        endpoints = [{"endpoint": {"address": address_of(server)}} for server in servers]
        kind = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
        found = {"@type": kind, "cluster_name": self.pool, "endpoints": [{"lb_endpoints": endpoints}]}
        staged = self.path.with_suffix(".staged")
        staged.write_text(json.dumps({"resources": [found]}))
        staged.replace(self.path)

    def apply(self, config: Config) -> None:
        """Have the gateway read the file."""
        [cluster] = [one for one in config["static_resources"]["clusters"] if one["name"] == self.pool]
        del cluster["load_assignment"]
        source = {"path_config_source": {"path": str(self.path)}, "resource_api_version": "V3"}
        cluster |= {"type": "EDS", "eds_cluster_config": {"eds_config": source}}


def without_budgets(config: Config) -> None:
    """Whoever asks is answered, however often."""
    _, routes = routes_of(config)
    for pool in ("predict", "explain"):
        del routes[pool]["typed_per_filter_config"]["budgets"]


def manager_of(config: Config) -> Config:
    """How the public listener handles HTTP."""
    found: Config = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def routes_of(config: Config) -> tuple[Config, dict[str, Config]]:
    """The public virtual host and its routes by their names."""
    [host] = manager_of(config)["route_config"]["virtual_hosts"]
    return host, {route["name"]: route for route in host["routes"]}


def address_of(server: str) -> Config:
    host, _, port = server.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def refusal_v2(answer: httpx.Response) -> str:
    """The error of an answer that is one of the gateway's, on a route of the Open Inference Protocol."""
    check(SCHEMAS["ErrorV2"], answer.json())
    assert answer.headers["content-type"] == "application/json"
    error: str = answer.json()["error"]
    return error


def refusal(answer: httpx.Response) -> dict[str, str]:
    """The error of an answer that is one of the gateway's, elsewhere."""
    check(SCHEMAS["GatewayError"], answer.json())
    error: dict[str, str] = answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"
    assert error["request_id"] == answer.headers.get("x-request-id", error["request_id"])
    return error


@contextmanager
def _process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        program("envoy"),
        "-c", str(folder / "envoy.json"),
        "--disable-hot-restart",
        "--concurrency", "1",
        "--log-level", "warning",
        "--file-flush-interval-msec", "20",
    ]  # fmt: skip
    with (folder / "access.log").open("wb") as out, (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=out, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def waiting(gateway: Gateway, pool: str) -> int:
    """How many requests wait for a place in the pool."""
    return _told(gateway, pool, "upstream_rq_pending_active")


def active_connections(gateway: Gateway, pool: str) -> int:
    """How many connections there are to the pool's servers, those that rest among them."""
    return _told(gateway, pool, "upstream_cx_active")


def _told(gateway: Gateway, pool: str, metric: str) -> int:
    name = f'envoy_cluster_{metric}{{envoy_cluster_name="{pool}"}} '
    lines = httpx.get(f"{gateway.internal_url}/metrics", trust_env=False).text.splitlines()
    return next(int(line.removeprefix(name)) for line in lines if line.startswith(name))


def fill(gateway: Gateway, explain: Upstream, ask: Callable[[], Asked]) -> list[Asked]:
    """Two requests that the pool for explanations works on, and one that waits.

    One after the other: a request counts as one that waits also while its connection is made.
    """
    before = len(explain.seen)
    asked = [ask()]
    wait_for(lambda: len(explain.seen) == before + 1, "the first is not taken")
    asked.append(ask())
    wait_for(lambda: len(explain.seen) == before + 2, "the second is not taken")
    asked.append(ask())
    wait_for(lambda: waiting(gateway, "explain") == 1, "the third does not wait")
    return asked


def _ready(gateway: Gateway, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, (gateway.folder / "envoy.log").read_text()
    try:
        return httpx.get(f"{gateway.internal_url}/ready", trust_env=False).is_success
    except httpx.TransportError:  # it does not listen yet
        return False
