"""GPUs that the driver shows and torch cannot use: `serve` says so, and starts no workers that would die."""

from pathlib import Path

import pytest
import torch

from zfnet_explainer.commands.serve import _gpus
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.torchserve.errors import ServingError

WHY = "1 GPU(s) are seen, but torch cannot use them: is the driver too old for CUDA "


@pytest.fixture(autouse=True)
def _too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that counts a GPU, and is too old for the CUDA that torch brings."""
    (tmp_path / "nvidia-smi").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(("device", "said"), [(Device.AUTO, WHY), (Device.CPU, "")])
def test_where_the_cpu_will_do_it_is_taken(device: Device, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _gpus(device) == 0
    out = capsys.readouterr().out
    assert out.startswith(said)
    assert out.endswith("? Serving on the CPU\n" if said else "")
    assert out.count("\n") == bool(said)


def test_a_gpu_that_is_asked_for_is_refused() -> None:
    with pytest.raises(ServingError) as refused:
        _gpus(Device.CUDA)
    assert str(refused.value).startswith(f"--device cuda: {WHY}")
    assert str(refused.value).endswith("? --device cpu serves without them")
