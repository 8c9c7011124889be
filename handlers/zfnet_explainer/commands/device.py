"""Where a command computes: one option, with one meaning."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..cores import usable_cores
from ..torchserve.devices import Device

if TYPE_CHECKING:
    import torch

Where = Annotated[Device, typer.Option("--device", help="Where to compute; auto: on the GPU where there is one.")]


def picked(where: Device) -> "torch.device":
    """The device of the option, a processor with no more threads than its container's limit allows.

    Raises typer.BadParameter for a GPU that is not there.
    """
    import torch  # takes seconds to import: --help does not wait for it

    if where is Device.CUDA and not torch.cuda.is_available():
        raise typer.BadParameter("--device cuda: torch sees no GPU here; --device cpu works without one")
    if where is not Device.CPU and torch.cuda.is_available():
        return torch.device("cuda")
    torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))
    return torch.device("cpu")
