"""A device that rounds: convolutions and matrix products read ten bits of each mantissa, as TF32 does."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = (functional.conv2d,)
PRODUCTS = (functional.linear, torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.baddbmm, torch.bmm, torch.addmm)


class TensorFloat32(TorchFunctionMode):
    """While the context lasts, these functions see float32 rounded to ten bits."""

    def __init__(self, functions: Collection[Callable[..., Any]] = (*CONVOLUTIONS, *PRODUCTS)) -> None:
        super().__init__()
        self.functions = functions

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func in self.functions:
            args = [rounded(value) for value in args]
        return func(*args, **(kwargs or {}))


def rounded(value: object) -> object:
    """To the nearest number of ten bits."""
    if not isinstance(value, Tensor) or value.dtype != torch.float32:
        return value
    mantissa, exponent = torch.frexp(value)
    return torch.ldexp((mantissa * 2**11).round() / 2**11, exponent)
