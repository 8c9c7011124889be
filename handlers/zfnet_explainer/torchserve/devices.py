"""Which device the workers get."""

import shutil
from enum import StrEnum


class Device(StrEnum):
    """Where a worker computes; `auto` is the GPU where there is one."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def visible_gpus() -> int:
    """Count the GPUs that both TorchServe and torch can use."""
    # TorchServe finds GPUs with nvidia-smi alone; looking for it first also spares a CPU machine
    # the four seconds of importing torch.
    if shutil.which("nvidia-smi") is None:
        return 0
    import torch

    return torch.cuda.device_count()
