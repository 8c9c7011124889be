"""Ports that nobody uses."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from zfnet_explainer.torchserve import ports
from zfnet_explainer.torchserve.errors import ServingError
from zfnet_explainer.torchserve.ports import (
    BELOW_EPHEMERAL,
    LOOPBACK,
    WORKER_PORT,
    WORKERS,
    free_ports,
    free_row,
    worker_port,
)

from ..needs import first_process

SCRIPT = """
import sys
from pathlib import Path
from zfnet_explainer.torchserve.ports import worker_port
print(worker_port(Path(sys.argv[1])))
"""


def test_free_ports_are_for_those_who_name_them() -> None:
    for port in free_ports(3):
        with socket.socket() as by_chance, pytest.raises(OSError, match="in use"):
            by_chance.bind(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port)) as named:  # as Java and Envoy do, over TIME_WAIT
            assert named.getsockname()[1] == port


def test_a_row_is_free_from_its_first_port_to_its_last() -> None:
    first = free_row()
    for port in range(first, first + WORKERS):
        socket.create_server((LOOPBACK, port)).close()


def test_a_row_in_which_a_port_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_row()
    monkeypatch.setattr(ports, "BELOW_EPHEMERAL", range(first, first + 1))
    assert free_row() == first
    with socket.create_server((LOOPBACK, first + WORKERS - 1)), pytest.raises(ServingError, match="end programs"):
        free_row()


def test_workers_have_ports_of_their_own_where_java_has_no_unix_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=0))
    monkeypatch.setattr(ports, "APPLE_SILICON", False)
    assert worker_port(tmp_path) == WORKER_PORT
    monkeypatch.setattr(ports, "APPLE_SILICON", True)
    assert worker_port(tmp_path) in BELOW_EPHEMERAL


def test_a_folder_from_which_nothing_may_be_executed(tmp_path: Path) -> None:
    """In a mount of its own: the program says which port it would take."""
    alone = first_process("--mount", proof=("mount", "-t", "tmpfs", "none", "/tmp"))  # noqa: S108
    line = [*alone, "sh", "-c", 'mount -t tmpfs -o noexec none "$0" && exec "$@"']
    said = subprocess.run([*line, tmp_path, sys.executable, "-c", SCRIPT, tmp_path], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert int(said.stdout) in BELOW_EPHEMERAL
