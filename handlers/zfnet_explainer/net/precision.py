"""The precisions that a net is evaluated in, and which of them a device has instructions for."""

import torch

from .device import current

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# What a processor needs for them, any of these, as torch names it: without, they are slower than float32.
INSTRUCTIONS = {
    "bfloat16": ("amx_bf16", "avx512_bf16", "bf16"),
    "float16": ("amx_fp16", "avx512_fp16", "fp16_arith"),
}


def supported_precisions(device: torch.device) -> tuple[str, ...]:
    """Precisions that the device has instructions for; float32 always."""
    if device.type == "cuda":
        with current(device):
            reduced = {"bfloat16": torch.cuda.is_bf16_supported(including_emulation=False), "float16": True}
    else:
        has = torch.cpu.get_capabilities()
        reduced = {name: any(has.get(needed) for needed in any_of) for name, any_of in INSTRUCTIONS.items()}
    return ("float32", *(name for name, there in reduced.items() if there))
