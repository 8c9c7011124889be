"""Tensors that have a device and no values: an operation on two devices, and every wait for a value, is an error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

GPU = torch.device("cuda", 0)
Net = TypeVar("Net", bound=nn.Module)


@contextmanager
def on_a_card(net: Net) -> Iterator[Net]:
    """The net's weights on the card, and from then on tensors without values."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        for module in net.modules():
            for name, weight in module.named_parameters(recurse=False):
                fake = torch.ones(weight.shape, device=GPU)
                setattr(module, name, nn.Parameter(fake, requires_grad=weight.requires_grad))
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, torch.ones(buffer.shape, dtype=buffer.dtype, device=GPU))
        yield net


def ones(*shape: int) -> Tensor:
    return torch.ones(shape, device=GPU)
