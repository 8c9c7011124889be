"""A module that a net uses twice is two layers: a shared ReLU, pool or dropout is ordinary PyTorch."""

import torch
from torch import Tensor, nn

from zfnet_explainer.methods.incremental.occluder import Occluder
from zfnet_explainer.methods.occlusion import occlude_full
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.chain import Chain, as_chain

from ..chains import picture, seeded


def net() -> nn.Sequential:
    """One ReLU, one pool and one dropout in several places, nested and not."""
    relu, pool, dropout = nn.ReLU(), nn.MaxPool2d(2, 2), nn.Dropout()
    return seeded(
        nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 6, 3), relu, pool, nn.Conv2d(6, 6, 3, padding=1), relu, pool),
            nn.Flatten(),
            nn.Sequential(dropout, nn.Linear(6 * 7 * 7, 12), relu, dropout, nn.Linear(12, 4)),
        ),
        0,
    ).eval()


def chain() -> tuple[Chain, nn.Sequential]:
    plain = net()
    return as_chain(plain, (3, 30, 30)), plain


def test_it_is_evaluated_as_torch_evaluates_it() -> None:
    ours, plain = chain()
    x = picture(ours)[None]
    expected: Tensor = plain(x)
    torch.testing.assert_close(ours(x), expected)
    torch.testing.assert_close(ours.run(x).outputs[ours.dense[-1]], expected)
    assert len(list(ours.children())) == 12
    assert len(ours.features) == 2


def test_layers_that_share_weights_move_together() -> None:
    shared = nn.Linear(8, 8)
    layers = [
        ("conv", nn.Conv2d(1, 2, 3)),
        ("relu", nn.ReLU()),
        ("flat", nn.Flatten()),
        ("one", shared),
        ("two", shared),
    ]
    ours = Chain(layers, (1, 4, 4)).to(torch.float64)
    assert [p.dtype for p in ours.parameters()] == [torch.float64] * 4
    assert ours.get_submodule("one").weight is ours.get_submodule("two").weight


def test_it_is_explained_as_it_is_evaluated() -> None:
    ours, plain = chain()
    image, fill = picture(ours), torch.zeros(3, 30, 30)
    grid = squares(30, 30, 9, 4)
    clean = ours.run(image[None])
    found = Occluder(ours)(image, clean, fill, grid, ours.features[-1], 0)
    full = occlude_full(ours, image, fill, grid, ours.features[-1], 0, batch=8)
    torch.testing.assert_close(found.logits, full.logits, rtol=1e-5, atol=1e-5)
    covered = image.clone()
    covered[:, grid.tops[1] : grid.tops[1] + 9, grid.lefts[2] : grid.lefts[2] + 9] = 0
    torch.testing.assert_close(full.logits[1, 2], plain(covered[None])[0], rtol=1e-5, atol=1e-5)
