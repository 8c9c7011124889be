"""A linear layer whose weight is the product of two thin matrices."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

DOWN = ".weight.down"


class Product(nn.Module):
    """A matrix [rows, columns] of low rank: `up` [rows, rank] times `down` [rank, columns]."""

    def __init__(self, rows: int, columns: int, rank: int) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.empty(rows, rank))
        self.down = nn.Parameter(torch.empty(rank, columns))


class ThinLinear(nn.Module):
    """`nn.Linear` at a rank: never multiplied out, which spares most of its arithmetic and memory.

    The weights are left uninitialised: they are filled by training or from a checkpoint.
    """

    def __init__(self, in_features: int, out_features: int, rank: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features, self.rank = in_features, out_features, rank
        self.weight = Product(out_features, in_features, rank)
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(functional.linear(x, self.weight.down), self.weight.up, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, rank={self.rank}"


def ranks(stored: Mapping[str, Tensor]) -> dict[str, int]:
    """Of the linear layers whose weights are stored as products."""
    return {key.removesuffix(DOWN): len(value) for key, value in stored.items() if key.endswith(DOWN)}


def linear(in_features: int, out_features: int, rank: int | None, bias: bool = True) -> nn.Linear | ThinLinear:
    """A linear layer of a rank, or a full one."""
    if rank is None:
        return nn.Linear(in_features, out_features, bias)
    return ThinLinear(in_features, out_features, rank, bias)
