"""Where the commands find what comes with the project."""

from pathlib import Path

from ..torchserve.archive import PROJECT

SHIPPED = Path("model_store/zfnet.safetensors")
WEIGHTS = SHIPPED if SHIPPED.exists() else PROJECT / SHIPPED  # also from another folder
