"""The precisions that a net is evaluated in, and which of them a device has instructions for."""

import logging

import torch
from torch.nn import functional

from .device import current

log = logging.getLogger(__name__)

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# What a processor needs for them, any of these, as torch names it: without, they are slower than float32.
INSTRUCTIONS = {
    "bfloat16": ("amx_bf16", "avx512_bf16", "bf16"),
    "float16": ("amx_fp16", "avx512_fp16", "fp16_arith"),
}


def supported_precisions(device: torch.device) -> tuple[str, ...]:
    """Precisions that the device has instructions for, and torch convolutions that use them; float32 always."""
    if device.type == "cuda":
        with current(device):
            reduced = {"bfloat16": torch.cuda.is_bf16_supported(including_emulation=False), "float16": True}
    else:
        has = torch.cpu.get_capabilities()
        reduced = {
            name: any(has.get(needed) for needed in any_of) and _convolves(name)
            for name, any_of in INSTRUCTIONS.items()
        }
    return ("float32", *(name for name, there in reduced.items() if there))


def _convolves(precision: str) -> bool:
    """Whether a processor computes a layer like ZFNet's first, of ones: oneDNN lacks bfloat16 for some of ARM's."""
    dtype = PRECISIONS[precision]
    maps, filters = (torch.ones(size, dtype=dtype, device="cpu") for size in ((1, 3, 23, 23), (96, 3, 7, 7)))
    try:
        found = functional.conv2d(maps, filters, stride=2)
    except RuntimeError as error:
        why = str(error)
    else:
        if bool((found == 3 * 7 * 7).all()):
            return True
        why = "their results are wrong"
    log.warning("%s is not offered, torch has no convolutions in it for this processor: %s", precision, why)
    return False
