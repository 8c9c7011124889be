"""Logits -> probabilities: the one place where a softmax is taken of what is answered."""

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOT_FINITE = "an answer would not be finite: the weights, or the activations that they give, are beyond float32"


def probabilities(logits: Tensor, temperature: float) -> Tensor:
    """Softmax over the last dimension of logits over the record's temperature (Guo et al. 2017), float32."""
    return (logits.float() / temperature).softmax(-1)


def answered(logits: Tensor, temperature: float) -> "NDArray[np.float32]":
    """Those probabilities as an array, taken on the CPU whatever the device. Raises ArithmeticError for none."""
    found = probabilities(logits.cpu(), temperature)
    if not found.isfinite().all():
        raise ArithmeticError(NOT_FINITE)
    array: NDArray[np.float32] = found.numpy()
    return array
