"""Threads for workers, from the cores and the container's limit."""

import os
from pathlib import Path

import pytest

from zfnet_explainer.service.cores import usable_cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("limit", "usable"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("20000 100000\n", 1),
        ("9999999 100000\n", 8),
    ],
)
def test_the_limit_of_a_container(tmp_path: Path, limit: str, usable: int) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    assert usable_cores(tmp_path) == usable


@pytest.mark.parametrize(("quota", "usable"), [("-1\n", 8), ("300000\n", 3)])
def test_the_limit_of_an_older_container(tmp_path: Path, quota: str, usable: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == usable


def test_no_container(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 8
