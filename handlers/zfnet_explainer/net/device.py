"""The device that a chain computes on: float32 as such there, and the same bits every time."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

log = logging.getLogger(__name__)

OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
KEPT = 1 + 2**-12  # float32 keeps the last bit; TF32 and bfloat16 round it away
LIMIT = 2**-15  # of the relative error: a lost bit is eight times that, and float32's own rounding far below
SUPPORTED = "cpu", "cuda"


def check_device(device: torch.device) -> None:
    """Raise ValueError for a device of a kind that the methods have not been built and tested for."""
    if device.type not in SUPPORTED:
        raise ValueError(
            f"nets are evaluated on {' or '.join(SUPPORTED)}, not on {str(device)!r}: cpu works everywhere"
        )


def compute_in_float32() -> None:
    """Let no product of float32 be rounded to fewer bits, as TF32 does, nor depend on an order that changes.

    It holds for the whole process and from then on, whatever TORCH_ALLOW_TF32_CUBLAS_OVERRIDE says and
    `torch.backends.fp32_precision` said.
    """
    cudnn: Any = torch.backends.cudnn  # their types lack what torch adds to them when it is imported
    mkldnn: Any = torch.backends.mkldnn
    # Torch has these once for all threads: were they given back, one thread's end would round another's products.
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = False
    # These two leave convolutions as `torch.backends.fp32_precision`, or that of cuDNN or oneDNN, has been set.
    for operation in (cudnn.conv, cudnn.rnn, mkldnn.conv, mkldnn.matmul):
        operation.fp32_precision = "ieee"
    cudnn.deterministic = True


def keeps_float32(device: torch.device) -> bool:
    """Whether a matrix product and a convolution there have float32's digits; where not, the log says so.

    A driver, or NVIDIA_TF32_OVERRIDE, may have the last word: the results are known and compared.
    """
    full = partial(torch.full, dtype=torch.float32, device=device)
    rows, maps = full((64, 1024), KEPT), full((4, 64, 28, 28), KEPT)
    matrix, filters = full((1024, 1024), 1), full((64, 64, 3, 3), 1)
    found = {
        "matrix products": functional.linear(rows, matrix) / 1024,
        "convolutions": functional.conv2d(maps.contiguous(memory_format=torch.channels_last), filters) / (64 * 9),
    }
    errors = {name: float((values / KEPT - 1).abs().max()) for name, values in found.items()}
    rounded = [f"{name} (relative error {error:.1e})" for name, error in errors.items() if not error < LIMIT]
    if rounded:
        log.error(
            "%s does not compute in float32: %s. Is NVIDIA_TF32_OVERRIDE set, or one of torch.backends' "
            "`fp32_precision` since the net was loaded?",
            device,
            ", ".join(rounded),
        )
    return not rounded


def device_of(module: nn.Module) -> torch.device:
    """The device that a module's weights are on, all of them on the same."""
    return next(module.parameters()).device


def current(device: torch.device) -> AbstractContextManager[object]:
    """Makes a GPU the calling thread's own while the context lasts; nothing for a CPU."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@contextmanager
def without_autocast() -> Iterator[None]:
    """Compute in the precision of the tensors, whatever autocast a caller is in; also a decorator."""
    with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
        yield


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def is_lost(device: torch.device) -> bool:
    """Whether a GPU has failed, as CUDA then says at every call; one whose memory is full has not."""
    try:
        synchronise(device)
    except torch.AcceleratorError as error:
        code: int | None = getattr(error, "error_code", None)  # which torch's types lack
        return code != OUT_OF_MEMORY
    return False


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of some work, what it left running on the device included."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start


class Clock:
    """Seconds spent in each named stage, work on the device included."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        synchronise(self.device)
        self.seconds[stage] = time.perf_counter() - start
