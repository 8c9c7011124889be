"""Pictures mixed in pairs: each pixel and each label is accounted for."""

import torch

from zfnet_explainer.training.mixing import Mixing, majority


def one_colour_each() -> tuple[torch.Tensor, torch.Tensor]:
    """Four pictures of the values 0, 1, 2, 3, of the classes 0, 1, 2, 3."""
    labels = torch.arange(4)
    return labels[:, None, None, None].expand(4, 3, 24, 31).float().contiguous(), labels


def test_labels_say_how_much_of_each_picture_is_left() -> None:
    torch.manual_seed(0)
    images, labels = one_colour_each()
    mix = Mixing(1.0, classes=5)
    pasted = blended = 0
    for _ in range(40):
        x, shares = mix(images, labels)
        torch.testing.assert_close(shares.sum(1), torch.ones(4))
        torch.testing.assert_close(x.mean((1, 2, 3)), shares @ torch.arange(5.0), rtol=1e-4, atol=1e-4)
        one_value = bool((x.amax((1, 2, 3)) - x.amin((1, 2, 3)) < 1e-6).all())
        blended += one_value
        pasted += not one_value
    assert min(pasted, blended) >= 8, "both ways occur"


def test_only_a_share_of_the_batches_is_mixed() -> None:
    torch.manual_seed(1)
    images, labels = one_colour_each()
    mix = Mixing(0.25, classes=4)
    mixed = sum(mix(images, labels)[1].ndim == 2 for _ in range(200))
    assert 30 <= mixed <= 70
    x, same = Mixing(0.0, classes=4)(images, labels)
    assert torch.equal(x, images)
    assert torch.equal(same, labels)


def test_the_larger_part_names_a_picture() -> None:
    assert majority(torch.tensor([2, 0])).tolist() == [2, 0]
    assert majority(torch.tensor([[0.2, 0.8, 0.0], [0.6, 0.0, 0.4]])).tolist() == [1, 0]
