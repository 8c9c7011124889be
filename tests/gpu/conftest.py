"""The card that the tests of this folder compute on; REHEARSE_GPU=1 runs them on the CPU where there is none."""

import pytest
import torch


@pytest.fixture
def card() -> torch.device:
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
