"""A real TorchServe with a tiny handler: it starts, says why it cannot, and leaves nothing behind."""

import os
import time
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.serving.config import ServerOptions
from zfnet_explainer.serving.errors import ServingError
from zfnet_explainer.serving.run_folder import claimed
from zfnet_explainer.serving.server import running_server

from .archives import tiny_archive


def test_serves_and_leaves_nothing_behind(tmp_path: Path) -> None:
    archive = tiny_archive(tmp_path / "tiny.mar")
    options = ServerOptions.on_free_ports(token=True)
    with running_server(archive, tmp_path / "run", options) as server:
        url = f"{server.inference_url}/predictions/zfnet"
        assert httpx.post(url, content=b"x", headers=server.authorization("inference")).text == "ok"
        assert httpx.post(url, content=b"x").status_code == 400, "without a key"
        # Nothing makes the server fetch from elsewhere.
        elsewhere = {"url": f"{server.metrics_url}/metrics"}
        key = server.authorization("management")
        assert httpx.post(f"{server.management_url}/models", params=elsewhere, headers=key).status_code == 405
        refused = httpx.post(f"{server.management_url}/workflows", params=elsewhere, headers=key)
        assert "does not match any allowed URL" in refused.text
        assert "ts_inference_requests_total" in httpx.get(f"{server.metrics_url}/metrics").text
        group = server.process.pid
    options.check_ports()
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
    assert set(os.listdir(tmp_path)) == {"tiny.mar", "run"}


def test_a_handler_that_raises_is_the_cause_within_bounds(tmp_path: Path) -> None:
    archive = tiny_archive(tmp_path / "tiny.mar", initialize="raise ValueError('no such layer: conv9')")
    options = ServerOptions.on_free_ports()
    start = time.monotonic()
    with (
        pytest.raises(ServingError, match=r"ValueError: no such layer: conv9 \(logs: .*logs\)$"),
        running_server(archive, tmp_path / "run", options),
    ):
        pytest.fail("it cannot have started")
    assert time.monotonic() - start < 60
    options.check_ports()


def test_a_run_folder_belongs_to_one_server(tmp_path: Path) -> None:
    archive = tiny_archive(tmp_path / "tiny.mar")
    with (
        claimed(tmp_path / "run"),
        pytest.raises(ServingError, match=r"another server runs in .*run: stop it or give another --run-dir"),
        running_server(archive, tmp_path / "run"),
    ):
        pytest.fail("it cannot have started")


def test_a_run_folder_too_deep_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="give a shorter --run-dir"), claimed(tmp_path / ("deep" * 25)):
        pytest.fail("it cannot have been claimed")
