"""The net as it is served: with probabilities of its logits over the record's temperature."""

import copy

from torch import nn

from ...net.chain import Chain
from ...net.thin import ThinLinear


def calibrated(chain: Chain, temperature: float) -> Chain:
    """A chain whose logits are those of `chain` over the temperature: all that a study takes of them is calibrated.

    Its last linear layer is a copy with that folded in, the others are the chain's own.
    """
    last = next(name for name in reversed(chain.dense) if isinstance(chain.layer(name), nn.Linear | ThinLinear))
    scaled = copy.deepcopy(chain.layer(last))
    for name, parameter in scaled.named_parameters():
        if name != "weight.down":  # of the two factors of a thin layer's weight the temperature divides one
            parameter.data.div_(temperature)
    layers = ((name, scaled if name == last else layer) for name, layer in chain.named_children())
    return Chain(layers, chain.input_size).eval()
