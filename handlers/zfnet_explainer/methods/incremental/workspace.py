"""Memory that a sweep writes its intermediate values to, batch after batch and picture after picture."""

from math import prod

import torch
from torch import Tensor


class Workspace:
    """One block of memory for each role, as large as its largest use so far, whatever the precision.

    Fresh memory would come from the system page by page, which takes longer on a CPU than what is written to it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._blocks: dict[str, Tensor] = {}

    def take(self, role: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """The role's block in that shape; what it held before is lost."""
        size = prod(shape) * dtype.itemsize
        block = self._blocks.get(role)
        if block is None or len(block) < size:
            block = self._blocks[role] = torch.empty(size, dtype=torch.uint8, device=self._device)
        return block[:size].view(dtype).view(shape)

    def gather(self, role: str, rows: Tensor, indices: Tensor) -> Tensor:
        """The rows [count, channels] of that many indices, of any shape, in the role's block."""
        found = self.take(role, rows.dtype, indices.numel(), rows.shape[1])
        torch.index_select(rows, 0, indices.flatten(), out=found)
        return found

    def joined(self, role: str, first: Tensor, second: Tensor) -> Tensor:
        """Both tensors' rows in the role's block."""
        found = self.take(role, first.dtype, len(first) + len(second), first.shape[1])
        torch.cat([first, second], out=found)
        return found
