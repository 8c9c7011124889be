"""Logits -> probabilities: the one place where a softmax is taken of what is answered."""

from torch import Tensor


def probabilities(logits: Tensor, temperature: float) -> Tensor:
    """Softmax over the last dimension of logits over the record's temperature (Guo et al. 2017), float32."""
    return (logits.float() / temperature).softmax(-1)
