"""`--device`: where a command computes, and with how many threads."""

import pytest
import torch
import typer

from zfnet_explainer.commands import device
from zfnet_explainer.commands.device import picked
from zfnet_explainer.torchserve.devices import Device


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (64, 2)], ids=["fewer cores", "more cores"])
def test_a_processor_computes_with_no_more_threads_than_it_has_cores_for_them(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr(device, "usable_cores", lambda: cores)
    torch.set_num_threads(2)
    assert picked(Device.CPU) == torch.device("cpu")
    assert torch.get_num_threads() == threads


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(typer.BadParameter, match="torch sees no GPU here; --device cpu works without one"):
        picked(Device.CUDA)
    assert picked(Device.AUTO) == torch.device("cpu")
