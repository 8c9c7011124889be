"""The tests that need a card can run: two of the smallest, on the CPU in its place."""

import torch

from . import test_on_a_card as tests

CPU = torch.device("cpu")


def test_a_kind_of_chain_on_the_cpu() -> None:
    tests.test_projections_from_every_layer("thin", CPU)
    tests.test_occlusion_maps("thin", CPU)


def test_a_batch_on_the_cpu() -> None:
    tests.test_a_mixed_batch(CPU)
