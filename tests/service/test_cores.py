"""Threads for workers, from the cores and the container's limit."""

import os
from pathlib import Path

import pytest

from zfnet_explainer.service import cores
from zfnet_explainer.service.cores import threads_per_worker, usable_cores


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


@pytest.mark.parametrize(("workers", "threads"), [(0, 8), (1, 8), (2, 4), (3, 2), (8, 1), (20, 1)])
def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch, workers: int, threads: int) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 8)
    assert threads_per_worker("auto", workers) == threads
    assert threads_per_worker(5, workers) == 5


@pytest.mark.parametrize("wanted", [0, -1, "many", None, 1.5])
def test_other_numbers_are_an_error(wanted: object) -> None:
    with pytest.raises(RuntimeError, match=r"explainer\.threads in model-config\.yaml is auto or a positive number"):
        threads_per_worker(wanted, 1)  # type: ignore[arg-type]
