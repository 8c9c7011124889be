"""How much memory pictures may take: of the machine's, and of a container's."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from zfnet_explainer.pictures.memory import memory_limit

GIB = 2**30


@pytest.mark.parametrize(("machine", "half"), [(6, 3), (16, 8), (512, 8)])
def test_half_of_the_machine_and_at_most_8_gib(
    machine: int, half: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=machine * GIB))
    assert memory_limit(tmp_path, tmp_path / "none") == half * GIB


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_half_of_a_container(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(f"{2**26}\n")
    assert memory_limit(tmp_path, tmp_path / "none") == 2**25


@pytest.mark.parametrize(("name", "text"), [("memory.max", "max\n"), ("memory/memory.limit_in_bytes", f"{2**63}\n")])
def test_a_container_without_a_limit(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert memory_limit(tmp_path, tmp_path / "none") == memory_limit(tmp_path / "other", tmp_path / "none")


def test_the_limit_of_a_group_above(tmp_path: Path) -> None:
    (tmp_path / "membership").write_text("0::/batch.slice/net.service\n")
    (tmp_path / "batch.slice/net.service").mkdir(parents=True)
    (tmp_path / "batch.slice/net.service/memory.max").write_text("max\n")
    (tmp_path / "batch.slice/memory.max").write_text(f"{2**26}\n")
    assert memory_limit(tmp_path, tmp_path / "membership") == 2**25
