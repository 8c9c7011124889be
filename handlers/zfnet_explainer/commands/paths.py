"""Where the commands find what comes with the project."""

from pathlib import Path

from ..torchserve.shipped import SHIPPED

IN_CHECKOUT = Path("model_store/zfnet.safetensors")
WEIGHTS = IN_CHECKOUT if IN_CHECKOUT.exists() else SHIPPED / IN_CHECKOUT  # also from another folder
