"""How far an occlusion map is from the exact one, as a few of its squares tell."""

from torch import Tensor

from ..net.probability import probabilities
from .squares import Squares


def spread_sample(grid: Squares) -> tuple[Squares, list[int], list[int]]:
    """Up to 4 x 4 evenly spread squares of a grid, with their rows and columns in it."""
    rows, cols = _spread(len(grid.tops)), _spread(len(grid.lefts))
    tops, lefts = tuple(grid.tops[row] for row in rows), tuple(grid.lefts[col] for col in cols)
    return Squares(grid.window, grid.stride, tops, lefts), rows, cols


def deviations(
    found: Tensor, exact: Tensor, temperature: float, target: int, contrast: int | None
) -> tuple[float, float | None]:
    """Largest differences, between logits [..., classes], of the target's probability and of its log odds in nats.

    The odds are those against the class `contrast`; None where there is none.
    """
    found_target = probabilities(found, temperature)[..., target]
    exact_target = probabilities(exact, temperature)[..., target]
    deviation = _apart(found_target, exact_target)
    if contrast is None:
        return deviation, None
    return deviation, _apart(_ahead(found, target, contrast), _ahead(exact, target, contrast)) / temperature


def _spread(count: int) -> list[int]:
    """Up to four of so many indices, from the first to the last."""
    return sorted({round(i * (count - 1) / 3) for i in range(4)})


def _ahead(logits: Tensor, target: int, contrast: int) -> Tensor:
    return logits[..., target].double() - logits[..., contrast].double()


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())
