"""Which device the workers get."""

import shutil
from enum import StrEnum

from .errors import ServingError


class Device(StrEnum):
    """Where a worker computes; `auto` is the GPU where there is one."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class UnusableGpus(ServingError):
    """The driver shows GPUs, and torch can use none of them."""


def visible_gpus() -> int:
    """Count the GPUs that both TorchServe and torch can use. Raises UnusableGpus."""
    # TorchServe finds GPUs with nvidia-smi alone; looking for it first also spares a CPU machine
    # the four seconds of importing torch.
    if shutil.which("nvidia-smi") is None:
        return 0
    import torch

    seen = torch.cuda.device_count()  # the driver's word, which it gives also where it is too old for this CUDA
    if seen and not torch.cuda.is_available():
        cuda = torch.version.cuda
        raise UnusableGpus(f"{seen} GPU(s) are seen, but torch cannot use them: is the driver too old for CUDA {cuda}?")
    return seen
