"""Threads for workers, from the cores and the container's limit."""

import os
from pathlib import Path

import pytest

from zfnet_explainer.cores import usable_cores


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
    assert usable_cores(tmp_path, tmp_path / "none") == usable


@pytest.mark.parametrize(("quota", "usable"), [("-1\n", 8), ("300000\n", 3)])
def test_the_limit_of_an_older_container(tmp_path: Path, quota: str, usable: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path, tmp_path / "none") == usable


@pytest.mark.parametrize("limited", ["batch.slice/net.service", "batch.slice", "."])
def test_the_limit_of_a_unit_or_of_a_group_above_it(tmp_path: Path, limited: str) -> None:
    """As systemd's CPUQuota sets it: below the root, which has none."""
    membership, group = tmp_path / "membership", tmp_path / "groups" / "batch.slice" / "net.service"
    membership.write_text("1:memory:/other\n0::/batch.slice/net.service\n")
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("500000 100000\n")
    (tmp_path / "groups" / limited / "cpu.max").write_text("300000 100000\n")
    (tmp_path / "groups" / "other").mkdir()
    (tmp_path / "groups" / "other" / "cpu.max").write_text("100000 100000\n")
    assert usable_cores(tmp_path / "groups", membership) == 3


def test_the_limit_of_an_older_unit(tmp_path: Path) -> None:
    membership, group = tmp_path / "membership", tmp_path / "groups" / "cpu" / "batch"
    membership.write_text("5:cpuset:/elsewhere\n4:cpu,cpuacct:/batch\n0::/\n")
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("250000\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path / "groups", membership) == 3


def test_a_container_that_is_told_its_host_s_groups(tmp_path: Path) -> None:
    (tmp_path / "membership").write_text("0::/docker/0123456789ab\n")
    (tmp_path / "cpu.max").write_text("200000 100000\n")
    assert usable_cores(tmp_path, tmp_path / "membership") == 2


def test_no_container(tmp_path: Path) -> None:
    assert usable_cores(tmp_path, tmp_path / "none") == 8
