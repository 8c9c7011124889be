"""The configuration that TorchServe gets, and the addresses it may take."""

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock
from xml.etree import ElementTree

import pytest
import yaml

from zfnet_explainer.torchserve import config as configs
from zfnet_explainer.torchserve.config import MAX_ANSWER_BYTES, ServerOptions, is_loopback, properties
from zfnet_explainer.torchserve.errors import ServingError
from zfnet_explainer.torchserve.ports import free_ports
from zfnet_explainer.torchserve.run_folder import claimed
from zfnet_explainer.torchserve.server import LOG_CONFIG, _start
from zfnet_explainer.wire.options import EXPLAIN_OPTIONS

CONFIG = Path(__file__).parents[2] / "deploy" / "config.properties"
DOCS = Path(__file__).parents[2] / "docs"
GATEWAY = Path(__file__).parents[2] / "deploy" / "gateway" / "envoy.yaml"


def written(options: ServerOptions, store: Path = Path("/run/store")) -> dict[str, str]:
    """The configuration of a server with these options."""
    return parsed(properties(options, store, worker_port=9000))


def parsed(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_a_log_takes_as_much_room_as_documented() -> None:
    kinds = ElementTree.parse(LOG_CONFIG).getroot().iter("RollingFile")  # noqa: S314
    bounds = {kind.get("name"): [bound.attrib for bound in (kind[1], kind[2])] for kind in kinds}
    assert bounds == {name: [{"size": "50 MB"}, {"max": "5"}] for name in ("access_log", "model_log", "ts_log")}
    assert "| a log file | 50 MB, five of each kind |" in (DOCS / "operations.md").read_text()


def test_the_console_is_silent_unless_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes into a file that never rolls over, or to a container's stdout: the workers' lines, and warnings."""
    levels = dict(re.findall(r"\$\{env:(ZFNET_\w+):-(\w+)}", LOG_CONFIG.read_text()))
    assert levels == dict.fromkeys(("ZFNET_CONSOLE_WORKERS", "ZFNET_CONSOLE_SERVER"), "off")
    asked = Mock()
    monkeypatch.setattr(subprocess, "Popen", asked)
    for console in (False, True):
        with claimed(tmp_path / "run") as (folder, lock):
            folder.empty()
            _start(folder, lock, ServerOptions(console=console))
    (silent, loud) = ({n: v for n, v in call.kwargs["env"].items() if n in levels} for call in asked.call_args_list)
    assert (silent, loud) == ({}, {"ZFNET_CONSOLE_WORKERS": "info", "ZFNET_CONSOLE_SERVER": "warn"})
    assert [call.kwargs["stdout"] is None for call in asked.call_args_list] == [False, True]


def test_the_file_for_ones_own_torchserve_says_what_serve_writes() -> None:
    """But for keys, which it asks for, archives, of which it lets none be fetched, and a path from the checkout."""
    shown, ours = parsed_lines(CONFIG.read_text()), written(ServerOptions(token=True))
    assert shown.pop("allowed_urls") == "file:///nowhere/.*"
    assert (CONFIG.parents[1] / shown.pop("metrics_config")).samefile(configs.METRICS_CONFIG)
    assert shown.items() <= ours.items()
    assert "disable_token_authorization" not in shown, "asked for, unless it is said"
    left_out = ours.keys() - shown.keys()
    own = {"allowed_urls", "metrics_config", "model_store", "initial_worker_port", "number_of_gpu"}
    assert {name for name in left_out if not name.startswith("grpc_")} == {*own, "disable_token_authorization"}


def parsed_lines(text: str) -> dict[str, str]:
    return parsed("\n".join(line for line in text.splitlines() if line and not line.startswith("#")))


def test_is_closed_by_default() -> None:
    config = written(ServerOptions())
    assert config["inference_address"] == "http://127.0.0.1:8080"
    assert config["management_address"] == "http://127.0.0.1:8081"
    assert config["metrics_address"] == "http://127.0.0.1:8082"
    assert config["allowed_urls"] == "file:///run/store/.*"
    assert config["enable_model_api"] == "false"
    assert config["install_py_dep_per_model"] == "false"
    assert config["decode_input_request"] == "false"
    assert config["disable_system_metrics"] == "true"
    assert not [name for name in config if name.startswith("cors")]
    assert config["grpc_inference_address"] == config["grpc_management_address"] == "127.0.0.1"


def test_limits_are_above_those_of_the_handler() -> None:
    config = written(ServerOptions())
    picture_as_base64 = 20 * 2**20 * 4 // 3
    assert int(config["max_request_size"]) > picture_as_base64 + 2**20
    assert MAX_ANSWER_BYTES == 63 * 2**20 < int(config["max_response_size"]) == 64 * 2**20
    assert "| an answer | 63 MiB; " in (DOCS / "operations.md").read_text()
    assert config["default_response_timeout"] == "600"


@pytest.mark.parametrize(("token", "disabled"), [(False, "true"), (True, "false")])
def test_tokens_are_asked_for_where_wanted(token: bool, disabled: str) -> None:
    assert written(ServerOptions(token=token))["disable_token_authorization"] == disabled


def test_an_open_host_leaves_management_on_the_loopback() -> None:
    options = ServerOptions(host="0.0.0.0", port=9000, gpus=2, model="figure-7")  # noqa: S104
    config = written(options)
    assert config["inference_address"] == "http://0.0.0.0:9000"
    assert config["management_address"] == "http://127.0.0.1:8081"
    assert config["metrics_address"] == "http://0.0.0.0:8082"
    assert config["load_models"] == "figure-7=zfnet.mar"
    assert config["number_of_gpu"] == "2"
    assert options.inference_url == "http://127.0.0.1:9000"


def test_two_servers_share_no_port() -> None:
    ports = [written(ServerOptions())[key] for key in ("grpc_inference_port", "grpc_management_port") for _ in range(2)]
    assert len(set(ports)) == 4


def test_paths_outside_ascii_are_escaped_as_java_reads_them() -> None:
    assert written(ServerOptions(), Path("/home/Jürgen\\x"))["model_store"] == r"/home/J\u00fcrgen\\x"


@pytest.mark.parametrize(
    ("option", "field"),
    [("--port", "port"), ("--management-port", "management_port"), ("--metrics-port", "metrics_port")],
)
def test_a_taken_port_is_named_with_its_option(option: str, field: str) -> None:
    ports = dict(zip(("port", "management_port", "metrics_port"), free_ports(3), strict=True))
    with (
        socket.create_server(("127.0.0.1", ports[field])),
        pytest.raises(ServingError, match=f"port {ports[field]} is taken: choose another with {option}$"),
    ):
        ServerOptions(**ports).check_ports()  # type: ignore[arg-type]


def test_ports_are_tried_where_the_server_will_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = Mock()
    monkeypatch.setattr(configs, "bound", tried)
    ServerOptions("192.0.2.1", 9000, 9001, 9002).check_ports()
    assert [call.args for call in tried.call_args_list] == [
        ("192.0.2.1", 9000), ("127.0.0.1", 9001), ("192.0.2.1", 9002),
    ]  # fmt: skip


def test_a_port_asked_for_twice_is_refused() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ServingError, match=f"port {port} is asked for twice"):
        ServerOptions(port=port, metrics_port=port).check_ports()


def test_another_machines_address_is_refused() -> None:
    port, management, metrics = free_ports(3)
    with pytest.raises(ServingError, match=r"--host 192\.0\.2\.1 is no address of this machine"):
        ServerOptions("192.0.2.1", port, management, metrics).check_ports()


def test_loopback_is_told_from_the_world() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")  # noqa: S104
    for nowhere in ("no such host", "127.0..1"):
        with pytest.raises(ServingError, match="cannot be resolved"):
            is_loopback(nowhere)


def test_one_other_origin_may_ask_where_it_is_allowed() -> None:
    config = written(ServerOptions(allowed_origin="https://dashboards.example.com"))
    assert config["cors_allowed_origin"] == "https://dashboards.example.com"
    assert config["cors_allowed_methods"] == "GET, POST", "PUT would let it end the workers through the management port"
    headers = {f"x-explain-{option.replace('_', '-')}" for option in EXPLAIN_OPTIONS}
    assert listed(config["cors_allowed_headers"]) == {
        "authorization", "content-type", "x-request-id", "inference-header-content-length", *headers,
    }  # fmt: skip


def test_pages_may_send_the_same_headers_whatever_stands_in_front() -> None:
    """A server that `serve` configures, one's own TorchServe by the lines to take in, and the gateway."""
    config = written(ServerOptions(allowed_origin="https://dashboards.example.com"))
    ours = {name: value for name, value in config.items() if name.startswith("cors")}
    lines = [line.removeprefix("# ") for line in CONFIG.read_text().splitlines() if line.startswith("# cors")]
    shown = parsed("\n".join(lines))
    (policy,) = cors_policies(yaml.safe_load(GATEWAY.read_text()))
    assert shown == ours
    assert listed(policy["allow_headers"]) == listed(ours["cors_allowed_headers"])


def listed(header: str) -> set[str]:
    return {name.strip() for name in header.split(",")}


def cors_policies(node: object) -> Iterator[dict[str, str]]:
    """What says which headers pages may send, wherever the gateway's configuration has it."""
    if isinstance(node, dict):
        if "allow_headers" in node:
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            yield from cors_policies(one)
