"""TorchServe's configuration: where it listens, who may ask, and how much."""

import errno
import ipaddress
import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from ..net.checks import check_name
from .archive import MODEL
from .errors import ServingError
from .ports import LOOPBACK, bound, free_ports
from .shipped import SHIPPED

METRICS_CONFIG = SHIPPED / "deploy" / "metrics.yaml"
# Pictures may have 20 MiB, which are 27 MiB as base64 in JSON: above that the handler answers with
# its own 413; TorchServe's, with an empty body, comes only beyond this.
MAX_REQUEST_BYTES = 32 * 2**20
# TorchServe kills the worker over a larger answer.
MAX_RESPONSE_BYTES = 64 * 2**20
# The handler's own bound, with room for what TorchServe puts around an answer.
MAX_ANSWER_BYTES = MAX_RESPONSE_BYTES - 2**20
RESPONSE_TIMEOUT_S = 600
# The API's options as headers name them: what pages of another origin may send, and what the command line offers.
OPTIONS = (
    "top-k", "methods", "target", "contrast", "layer", "features", "feature", "others", "window", "stride", "fill",
    "precision", "images", "crosscheck", "format",
)  # fmt: skip
CORS_HEADERS = (
    "authorization", "content-type", "x-request-id", *(f"x-explain-{option}" for option in OPTIONS),
    "inference-header-content-length",
)  # fmt: skip


@dataclass(frozen=True)
class ServerOptions:
    """Where a server listens and what it lets in; the management port stays on the loopback."""

    host: str = LOOPBACK
    port: int = 8080
    management_port: int = 8081
    metrics_port: int = 8082
    token: bool = False
    gpus: int = 0
    model: str = MODEL
    # Whether what the workers log, and the server's warnings, go to stdout beside the files.
    console: bool = False
    # The one other web origin whose pages may ask, `*` for all; the archive's workers check who does.
    allowed_origin: str = ""

    @classmethod
    def on_free_ports(cls, gpus: int = 0) -> "ServerOptions":
        """Options with three ports of the loopback that nobody uses."""
        port, management, metrics = free_ports(3)
        return cls(port=port, management_port=management, metrics_port=metrics, gpus=gpus)

    @property
    def inference_url(self) -> str:
        return f"http://{self._reachable_host}:{self.port}"

    @property
    def management_url(self) -> str:
        return f"http://{LOOPBACK}:{self.management_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self._reachable_host}:{self.metrics_port}"

    @property
    def _reachable_host(self) -> str:
        return LOOPBACK if self.host == "0.0.0.0" else self.host  # noqa: S104

    def check_model_name(self) -> None:
        """Raise ServingError for a name that could not stand in a URL or in TorchServe's configuration."""
        try:
            check_name(self.model)
        except ValueError as error:
            raise ServingError(f"--model-name: {error}") from error

    def check_ports(self) -> None:
        """Raise ServingError for a port that is taken or asked for twice."""
        wanted = {
            "--port": (self.host, self.port),
            "--management-port": (LOOPBACK, self.management_port),
            "--metrics-port": (self.host, self.metrics_port),
        }
        ports = [port for _, port in wanted.values()]
        for option, (host, port) in wanted.items():
            if ports.count(port) > 1:
                raise ServingError(f"port {port} is asked for twice: give {option} another")
            try:
                bound(host, port).close()
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    raise ServingError(f"--host {host} is no address of this machine") from error
                reason = "taken" if error.errno == errno.EADDRINUSE else f"not to be had ({error.strerror})"
                raise ServingError(f"port {port} is {reason}: choose another with {option}") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host; raises ServingError for one that is no IPv4 host."""
    try:
        return ipaddress.ip_address(socket.gethostbyname(host)).is_loopback
    except (OSError, UnicodeError) as error:  # the latter for 127.0..1, which is no name of DNS
        raise ServingError(f"--host {host} is not an IPv4 address and cannot be resolved to one") from error


def properties(options: ServerOptions, store: Path, worker_port: int) -> str:
    """config.properties for a server that loads the archive in `store`.

    Its workers are called after ports from `worker_port` on, and listen there where Java has no Unix sockets.
    """
    grpc_inference, grpc_management = free_ports(2)
    values = {
        "inference_address": f"http://{options.host}:{options.port}",
        "management_address": options.management_url,
        "metrics_address": f"http://{options.host}:{options.metrics_port}",
        # Unused, but TorchServe opens them: on the defaults two servers would clash.
        "grpc_inference_address": LOOPBACK,
        "grpc_management_address": LOOPBACK,
        "grpc_inference_port": grpc_inference,
        "grpc_management_port": grpc_management,
        "initial_worker_port": worker_port,
        "model_store": store,
        "load_models": f"{options.model}={MODEL}.mar",
        # Nothing is loaded from anywhere else, also not through POST /workflows.
        "allowed_urls": f"file://{re.escape(str(store))}/.*",
        "enable_model_api": False,
        "disable_token_authorization": not options.token,
        "install_py_dep_per_model": False,
        "number_of_gpu": options.gpus,
        # Bodies reach the handler as they came: all parsing, and all answers to bad input, are ours. The
        # environment's TS_DECODE_INPUT_REQUEST would be overwritten.
        "decode_input_request": False,
        "max_request_size": MAX_REQUEST_BYTES,
        "max_response_size": MAX_RESPONSE_BYTES,
        "default_response_timeout": RESPONSE_TIMEOUT_S,
        "metrics_mode": "prometheus",
        "metrics_config": METRICS_CONFIG,
        "disable_system_metrics": True,  # on a GPU machine they log tracebacks without nvgpu
    }
    if options.allowed_origin:  # what TorchServe answers a browser's preflight request
        values |= {
            "cors_allowed_origin": options.allowed_origin,
            "cors_allowed_methods": "GET, POST",  # it holds for the management port too, where PUT ends the workers
            "cors_allowed_headers": ", ".join(CORS_HEADERS),
        }
    return "".join(f"{key}={_escaped(value)}\n" for key, value in values.items())


def _escaped(value: object) -> str:
    # A properties file is Latin-1 with \uXXXX and backslash escapes: what JSON writes inside its quotes.
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return json.dumps(text)[1:-1]
