"""The comparison with Captum: it agrees where it must, and says so where it does not."""

from dataclasses import replace
from importlib.metadata import version

import pytest
import torch
from torch import Tensor

from zfnet_explainer.methods.captum import NO_NUMBER, check_deconv, check_occlusion, library
from zfnet_explainer.methods.deconvnet import project
from zfnet_explainer.methods.occlusion import occlude_full
from zfnet_explainer.methods.squares import Squares, squares
from zfnet_explainer.net.chain import Chain

from ..chains import SMALL, picture

TEMPERATURE = 0.5
CLASSES = 1, 3


def occluded(chain: Chain, grid: Squares) -> tuple[Tensor, Tensor, list[Tensor], list[float]]:
    """(image, fill, probability per square, unoccluded) of two classes."""
    image, fill = picture(chain, 1), picture(chain, 2)
    maps = occlude_full(chain, image, fill, grid, chain.features[-1], 0)
    covered = (maps.logits / TEMPERATURE).softmax(2)
    clean = (chain(image[None])[0] / TEMPERATURE).softmax(0)
    return image, fill, [covered[..., i].contiguous() for i in CLASSES], [float(clean[i]) for i in CLASSES]


@pytest.mark.parametrize(
    ("kind", "window", "stride"),
    [
        pytest.param("without_pools", 3, 2, id="divides"),
        pytest.param("without_pools", 4, 3, id="does not divide"),
        pytest.param("without_pools", 4, 4, id="stride is the window"),
        pytest.param("without_pools", 13, 5, id="window is the width"),
        pytest.param("without_pools", 1, 1, id="single pixels"),
        pytest.param("like_zfnet", 11, 7, id="normalised, does not divide"),
        pytest.param("average_pools", 10, 6, id="averaged"),
    ],
)
def test_occlusion_agrees_with_captum(kind: str, window: int, stride: int) -> None:
    chain = SMALL[kind](0)
    grid = squares(*chain.input_size[1:], window, stride)
    image, fill, covered, unoccluded = occluded(chain, grid)
    assert all(float((p - before).abs().max()) > 1e-3 for p, before in zip(covered, unoccluded, strict=True))
    found = check_occlusion(
        chain, image, fill, grid, temperature=TEMPERATURE, classes=CLASSES, covered=covered, unoccluded=unoccluded
    )
    assert len(found) == 2
    assert max(found) < 1e-4


def test_squares_that_change_next_to_nothing_agree() -> None:
    """Rounding is not measured by how little they change."""
    chain = SMALL["without_pools"](0)
    grid = squares(15, 13, 3, 2)
    image = picture(chain, 1)
    fill = image + 1e-5 * picture(chain, 2)
    probability = occlude_full(chain, image, fill, grid, chain.features[-1], 0).logits.softmax(2)[..., 1].contiguous()
    unoccluded = float(chain(image[None]).softmax(1)[0, 1])
    assert 0 < float((probability - unoccluded).abs().max()) < 1e-4
    rounded = probability + torch.finfo(torch.float32).eps / 2
    [apart] = check_occlusion(
        chain, image, fill, grid, temperature=1, classes=[1], covered=[rounded], unoccluded=[unoccluded]
    )
    assert apart < 1e-5


def test_squares_that_leave_next_to_nothing_agree() -> None:
    """Captum's answer is a difference from the unoccluded probability, whose rounding is more than what is left."""
    chain = SMALL["without_pools"](0)
    grid = squares(15, 13, 12, 1)
    image, fill = picture(chain, 6), 10 * picture(chain, 106)
    temperature, target = 0.05, 3
    logits = occlude_full(chain, image, fill, grid, chain.features[-1], 0).logits
    covered = (logits / temperature).softmax(2)[..., target].contiguous()
    unoccluded = float((chain(image[None])[0] / temperature).softmax(0)[target])
    assert 0 < float(covered.max()) < 1e-5 * unoccluded

    def apart(probability: Tensor) -> float:
        [found] = check_occlusion(
            chain, image, fill, grid, temperature=temperature, classes=[target],
            covered=[probability], unoccluded=[unoccluded],
        )  # fmt: skip
        return found

    assert apart(covered) < 1e-6
    assert apart(covered + 1e-3) > 9e-4


@pytest.mark.parametrize(
    "wrong", ["mirrored", "shifted", "other class", "other fill", "other baseline", "other temperature"]
)
def test_a_wrong_grid_is_reported(wrong: str) -> None:
    """That of the second class alone, where one grid is wrong and not both."""
    chain = SMALL["without_pools"](0)
    grid = squares(15, 13, 3, 2)
    image, fill, covered, unoccluded = occluded(chain, grid)
    classes, temperature = CLASSES, TEMPERATURE
    if wrong == "mirrored":
        covered[1] = covered[1].flip(1)
    elif wrong == "shifted":
        covered[1] = covered[1].roll(1, 1)
    elif wrong == "other class":
        classes = 1, 0
    elif wrong == "other fill":
        fill = torch.zeros_like(fill)
    elif wrong == "other temperature":
        temperature = 1
    else:
        unoccluded[1] += 0.05
    first, second = check_occlusion(
        chain, image, fill, grid, temperature=temperature, classes=classes, covered=covered, unoccluded=unoccluded
    )
    assert second > 0.05
    assert (first < 1e-4) == (wrong not in ("other fill", "other temperature"))


@pytest.mark.parametrize("kind", SMALL)
def test_deconv_agrees_with_captum(kind: str) -> None:
    chain = SMALL[kind](0)
    x = picture(chain)
    activations = chain.run(x[None])
    found = {name: project(chain, activations, name, [0, 1, 2]) for name in chain.features}
    assert any(f.activation > 0 for features in found.values() for f in features)
    assert check_deconv(chain, x, found) <= 1e-6


def test_a_wrong_projection_is_reported() -> None:
    chain = SMALL["like_zfnet"](0)
    x = picture(chain)
    activations = chain.run(x[None])
    good, other = project(chain, activations, "relu2", [1, 2])
    assert other.activation > 0
    wrong = {
        "another map's": replace(other, projection=good.projection),
        "mirrored": replace(other, projection=other.projection.flip(2)),
        "a percent off": replace(other, projection=other.projection * 1.01),
    }
    for what, feature in wrong.items():
        assert check_deconv(chain, x, {"relu2": [feature]}) > 5e-3, what
    assert check_deconv(chain, x, {"relu2": [good, other], "relu3": []}) <= 1e-6


def test_what_is_no_number_never_agrees() -> None:
    chain = SMALL["like_zfnet"](0)
    x = picture(chain)
    sound, other = project(chain, chain.run(x[None]), "relu2", [1, 2])
    broken = replace(other, projection=torch.full_like(other.projection, torch.nan))
    for features in ([broken], [broken, sound], [sound, broken]):
        assert check_deconv(chain, x, {"relu2": features}) == NO_NUMBER
    grid = squares(*chain.input_size[1:], 12, 12)
    image, fill, covered, unoccluded = occluded(chain, grid)
    covered[1][0, 0] = torch.nan
    sound_one, broken_one = check_occlusion(
        chain, image, fill, grid, temperature=TEMPERATURE, classes=CLASSES, covered=covered, unoccluded=unoccluded
    )
    assert (sound_one < 1e-4, broken_one) == (True, NO_NUMBER)


def test_leaves_the_chain_and_the_picture_as_they_were() -> None:
    chain = SMALL["like_zfnet"](0)
    x = picture(chain)
    before = x.clone()
    check_deconv(chain, x, {"relu3": project(chain, chain.run(x[None]), "relu3", [0])})
    grid = squares(*chain.input_size[1:], 12, 12)
    zeros = torch.zeros(len(grid.tops), len(grid.lefts))
    check_occlusion(chain, x, picture(chain, 2), grid, temperature=1, classes=[0], covered=[zeros], unoccluded=[0.5])
    assert torch.equal(x, before)
    assert not x.requires_grad
    for module in chain.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
        assert not module._backward_pre_hooks
    assert not any(p.requires_grad for p in chain.parameters())


def test_library_is_the_installed_one() -> None:
    assert library() == ("captum", version("captum"))
