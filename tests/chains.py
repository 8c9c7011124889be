"""Small chains and pictures with seeded values, most of sizes that do not divide."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn

from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.norm import CrossMapNorm
from zfnet_explainer.net.thin import ThinLinear

Net = TypeVar("Net", bound=nn.Module)

PREFIXES: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.ReLU: "relu",
    nn.MaxPool2d: "pool",
    nn.AvgPool2d: "pool",
    CrossMapNorm: "norm",
    nn.Dropout: "drop",
    nn.Flatten: "flatten",
    nn.Linear: "fc",
    ThinLinear: "fc",
}


def seeded(net: Net, seed: int) -> Net:
    """Fill weights (He's deviation) and biases of a net, also of one on the meta device; frozen, in eval mode."""
    if next(net.parameters()).is_meta:
        net.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        spread = math.sqrt(2 / parameter[0].numel()) if parameter.ndim > 1 else 0.1
        parameter.data.normal_(0, spread, generator=generator)
    net.requires_grad_(False)
    net.eval()
    return net


def named(*layers: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers with names: conv1, relu1, pool1, conv2, ..."""
    counts: Counter[str] = Counter()
    for layer in layers:
        prefix = PREFIXES[type(layer)]
        counts[prefix] += 1
        yield f"{prefix}{counts[prefix]}", layer


def chain_of(size: tuple[int, int, int], *spatial: nn.Module, seed: int = 0) -> Chain:
    """Spatial layers on pictures of a size, then 12 hidden units and 5 classes."""
    cells = nn.Sequential(*spatial)(torch.zeros(1, *size)).numel()
    dense = (nn.Flatten(), nn.Linear(cells, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 5))
    return seeded(Chain(named(*spatial, *dense), size), seed)


def like_zfnet(seed: int = 0, size: tuple[int, int, int] = (3, 37, 41)) -> Chain:
    """Strides, overlapping cut pools and a strong normalisation; alpha/size is exact in every precision."""
    return chain_of(
        size,
        nn.Conv2d(3, 6, 7, stride=2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        CrossMapNorm(6, alpha=0.625, k=1.0),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        nn.Conv2d(8, 7, 3, padding=1),
        nn.ReLU(),
        seed=seed,
    )


def padded_pools(seed: int = 0) -> Chain:
    return chain_of(
        (3, 29, 24),
        nn.Conv2d(3, 4, 3, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, stride=2, padding=1, ceil_mode=True),
        seed=seed,
    )


def average_pools(seed: int = 0) -> Chain:
    return chain_of(
        (3, 31, 34),
        nn.Conv2d(3, 5, 4, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(3, stride=2),
        nn.Conv2d(5, 4, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2, stride=3, padding=1),
        nn.Conv2d(4, 4, 2),
        nn.ReLU(),
        seed=seed,
    )


def thin(seed: int = 0) -> Chain:
    """A first linear layer of rank 5, and no pool before it."""
    spatial = nn.Conv2d(3, 4, 5, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU()
    dense = nn.Flatten(), ThinLinear(5 * 8 * 10, 12, 5), nn.ReLU(), nn.Linear(12, 5)
    return seeded(Chain(named(*spatial, *dense), (3, 21, 26)), seed)


def grouped(seed: int = 0) -> Chain:
    return chain_of(
        (3, 26, 35),
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Dropout(),
        nn.Conv2d(8, 6, (3, 5), stride=(2, 3), padding=(1, 2), groups=2),
        nn.ReLU(),
        nn.MaxPool2d((2, 3), stride=(2, 1)),
        seed=seed,
    )


def with_gaps(seed: int = 0) -> Chain:
    """Strides beyond the kernels: some values reach no output, and others one column of one alone."""
    return chain_of(
        (1, 20, 27),
        nn.Conv2d(1, 4, (3, 2), stride=(1, 3)),
        nn.ReLU(),
        nn.Conv2d(4, 5, 2, stride=3),
        nn.ReLU(),
        seed=seed,
    )


def without_pools(seed: int = 0) -> Chain:
    return chain_of((1, 15, 13), nn.Conv2d(1, 3, 5, padding=2), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU(), seed=seed)


KINDS = like_zfnet, padded_pools, average_pools, grouped, with_gaps, without_pools, thin
SMALL: dict[str, Callable[[int], Chain]] = {build.__name__: build for build in KINDS}


def plain(chain: Chain) -> nn.Sequential:
    """The chain's layers as an ordinary torch net, normalised by torch's own layer."""
    return nn.Sequential(
        *(
            nn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k)
            if isinstance(layer, CrossMapNorm)
            else layer
            for layer in chain
        )
    ).eval()


def picture(chain: Chain, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """A standardised picture [channels, height, width]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(chain.input_size, generator=generator, dtype=dtype)


def small() -> Chain:
    """A convolution and a pool, for pictures of 32 x 32 pixels."""
    return chain_of((3, 32, 32), nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2))
