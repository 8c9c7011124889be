"""Memory that a sweep writes its intermediate values to, batch after batch and picture after picture."""

from math import prod

import torch
from torch import Tensor


class Workspace:
    """One block of memory for each role, as large as its largest use so far.

    Fresh memory would come from the system page by page, which takes longer on a CPU than what is written to it.
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._blocks: dict[str, Tensor] = {}

    def take(self, role: str, *shape: int) -> Tensor:
        """The role's block in that shape; what it held before is lost."""
        size = prod(shape)
        block = self._blocks.get(role)
        if block is None or len(block) < size:
            block = self._blocks[role] = self._like.new_empty(size)
        return block[:size].view(shape)

    def gather(self, role: str, rows: Tensor, indices: Tensor) -> Tensor:
        """The rows [count, channels] of that many indices, of any shape, in the role's block."""
        found = self.take(role, indices.numel(), rows.shape[1])
        torch.index_select(rows, 0, indices.flatten(), out=found)
        return found

    def joined(self, role: str, first: Tensor, second: Tensor) -> Tensor:
        """Both tensors' rows in the role's block."""
        found = self.take(role, len(first) + len(second), first.shape[1])
        torch.cat([first, second], out=found)
        return found
