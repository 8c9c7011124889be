"""Cross-map normalisation against torch's own layer and by hand."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from zfnet_explainer.net.norm import CrossMapNorm

SHAPES = pytest.mark.parametrize(
    ("maps", "size", "height", "width"),
    [(96, 5, 4, 3), (8, 5, 7, 5), (3, 5, 1, 2), (2, 5, 1, 2), (1, 3, 2, 1), (7, 4, 3, 3), (6, 2, 2, 2), (4, 1, 1, 2)],
)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3


@SHAPES
@pytest.mark.parametrize(("alpha", "k"), [(1e-4, 2.0), (0.7, 1.0)], ids=["paper", "strong"])
def test_equals_torch(maps: int, size: int, height: int, width: int, alpha: float, k: float) -> None:
    x = random(2, maps, height, width)
    expected = functional.local_response_norm(x.double(), size, alpha, 0.75, k)
    torch.testing.assert_close(CrossMapNorm(maps, size, alpha, k=k)(x).double(), expected, rtol=1e-6, atol=0)


@SHAPES
def test_gradient_equals_torch(maps: int, size: int, height: int, width: int) -> None:
    x, weight = random(1, maps, height, width).requires_grad_(), random(1, maps, height, width).abs()
    y = x.detach().double().requires_grad_()
    (ours,) = torch.autograd.grad((CrossMapNorm(maps, size, 0.7, k=1.0)(x) * weight).sum(), x)
    (theirs,) = torch.autograd.grad((functional.local_response_norm(y, size, 0.7, 0.75, 1.0) * weight).sum(), y)
    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=1e-6 * float(theirs.abs().max()))


def test_by_hand() -> None:
    """(7 + 9) ** 0.75 = 8; the third map is no neighbour of the first."""
    norm = CrossMapNorm(3, size=3, alpha=3.0, k=7.0)
    x = torch.tensor([3.0, 0.0, -3.0]).view(1, 3, 1, 1)
    assert norm(x).flatten().tolist() == pytest.approx([0.375, 0.0, -0.375], rel=1e-6)


def test_input_stays() -> None:
    x = random(1, 4, 2, 2)
    before = x.clone()
    CrossMapNorm(4)(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_it_follows_the_precision_of_what_it_is_given(dtype: torch.dtype) -> None:
    x = random(1, 4, 2, 2)
    found = CrossMapNorm(4)(x.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), CrossMapNorm(4)(x), rtol=1e-2, atol=0)


@pytest.mark.parametrize("norm", [CrossMapNorm(4), CrossMapNorm(4).half()], ids=["as built", "in half precision"])
@pytest.mark.parametrize("values", [(300.0, -2000.0, 6e4, 0.0), (2000.0, 1000.0, -2000.0, 700.0)])
def test_half_precision_holds_what_its_squares_would_not(norm: CrossMapNorm, values: tuple[float, ...]) -> None:
    """Those of values from 256 on are beyond its range, and alpha over the size is below its normal numbers."""
    x = torch.tensor(values).view(1, 4, 1, 1)
    found, expected = norm(x.half()), CrossMapNorm(4)(x)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), expected, rtol=2**-10, atol=0)


def test_other_beta_is_refused() -> None:
    with pytest.raises(ValueError, match=r"beta 0\.75, got 0\.5"):
        CrossMapNorm(4, beta=0.5)
