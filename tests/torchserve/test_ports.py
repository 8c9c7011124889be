"""Ports that nobody uses."""

import socket

import pytest

from zfnet_explainer.torchserve import ports
from zfnet_explainer.torchserve.errors import ServingError
from zfnet_explainer.torchserve.ports import LOOPBACK, WORKERS, free_ports, free_row


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
