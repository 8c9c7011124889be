"""Whether float32 is float32: found out where it is not, and asked for whatever the environment says."""

import os
import subprocess
import sys
from types import SimpleNamespace
from unittest.mock import Mock, call

import pytest
import torch

from zfnet_explainer.net import device
from zfnet_explainer.net.device import Clock, current, keeps_float32, seconds

from ..rounded import CONVOLUTIONS, PRODUCTS, TensorFloat32, rounded

CPU = torch.device("cpu")


def test_the_stand_in_rounds_to_ten_bits() -> None:
    """Or the other tests could not fail."""
    values = torch.tensor([1 + 2**-10, 1 + 2**-12, -3 - 2**-8, 2**-9, 0.0])
    assert torch.equal(torch.as_tensor(rounded(values)), torch.tensor([1 + 2**-10, 1, -3 - 2**-8, 2**-9, 0.0]))


def test_a_processor_keeps_float32(caplog: pytest.LogCaptureFixture) -> None:
    assert keeps_float32(CPU)
    assert not caplog.records


@pytest.mark.parametrize(
    ("functions", "said", "unsaid"),
    [(PRODUCTS, "matrix products", "convolutions"), (CONVOLUTIONS, "convolutions", "matrix products")],
    ids=["matrix products", "convolutions"],
)
def test_a_device_that_rounds_is_found_out(
    functions: tuple[object, ...], said: str, unsaid: str, caplog: pytest.LogCaptureFixture
) -> None:
    with TensorFloat32(functions):  # type: ignore[arg-type]
        assert not keeps_float32(CPU)
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert f"cpu does not compute in float32: {said} (relative error 2.4e-04)" in record.getMessage()
    assert unsaid not in record.getMessage()


def test_a_device_that_rounds_is_found_out_whatever_precision_a_caller_makes_tensors_in() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        with TensorFloat32(PRODUCTS):
            assert not keeps_float32(CPU)
    finally:
        torch.set_default_dtype(torch.float32)


# Prints what products and convolutions are rounded to and whether cuDNN may choose freely, before and after, first as
# the environment has it, which torch reads when it is imported, then by each of torch's own settings.
ASKED_FOR_TF32 = """
import torch
from torch.backends import cuda, cudnn, mkldnn
from zfnet_explainer.net.device import compute_in_float32

def show():
    kinds = cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv
    print(*(kind.fp32_precision for kind in kinds), cudnn.deterministic)

def none(*settings):
    for setting in settings:
        setting.fp32_precision = "none"

show()
compute_in_float32()
show()
for setting in (torch.backends, cudnn):
    none(cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv)
    cudnn.deterministic = False
    setting.fp32_precision = "tf32"
    show()
    compute_in_float32()
    show()
    setting.fp32_precision = "none"
"""


def test_nothing_that_asked_for_tf32_before_brings_it_back() -> None:
    found = subprocess.run(
        [sys.executable, "-c", ASKED_FOR_TF32], env=os.environ | {"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = found.stdout.splitlines()
    asked, done = lines[::2], lines[1::2]
    assert len(asked) == 3
    assert all(line.startswith("tf32 tf32 tf32") and line.endswith("False") for line in asked)
    assert done == ["ieee ieee ieee ieee ieee True"] * 3


def test_a_card_is_made_the_threads_own_and_a_processor_is_not() -> None:
    second = current(torch.device("cuda", 1))
    assert isinstance(second, torch.cuda.device)
    assert second.idx == 1
    with current(CPU) as nothing:
        assert nothing is None


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """What is done in turn: a clock read, which says 1 s and then 3.5 s, a card waited for, some work."""
    done = Mock()
    done.read.side_effect = [1.0, 3.5]
    monkeypatch.setattr(device, "time", SimpleNamespace(perf_counter=done.read))
    monkeypatch.setattr(torch.cuda, "synchronize", done.wait)
    return done


def test_a_stage_lasts_until_the_card_has_done_its_work(done: Mock) -> None:
    clock = Clock(torch.device("cuda", 1))
    with clock("predict"):
        done.work()
    assert clock.seconds == {"predict": 2.5}
    assert done.mock_calls == [call.read(), call.work(), call.wait(torch.device("cuda", 1)), call.read()]


def test_work_is_timed_between_two_moments_when_the_card_has_nothing_to_do(done: Mock) -> None:
    card = torch.device("cuda", 1)
    assert seconds(done.work, card) == 2.5
    assert done.mock_calls == [call.wait(card), call.read(), call.work(), call.wait(card), call.read()]


def test_a_processor_is_not_waited_for(done: Mock) -> None:
    assert seconds(done.work, CPU) == 2.5
    assert done.mock_calls == [call.read(), call.work(), call.read()]
