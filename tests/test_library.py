"""The library's face: every name is there, documented, and imported no sooner than it is used."""

import subprocess
import sys

import pytest

import zfnet_explainer


@pytest.mark.parametrize("name", zfnet_explainer.__all__)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    assert getattr(zfnet_explainer, name).__doc__


def test_another_name_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'zfnet_explainer' has no attribute 'Explaner'$"):
        _ = zfnet_explainer.Explaner


def test_importing_it_costs_nothing() -> None:
    show = "import sys, zfnet_explainer; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert {"torch", "numpy", "PIL"}.isdisjoint(done.stdout.split())
