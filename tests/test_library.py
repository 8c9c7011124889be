"""The library's face: every name is there, documented, and imported no sooner than it is used."""

import subprocess
import sys
from importlib.resources import files

import pytest

import zfnet_explainer


@pytest.mark.parametrize("name", zfnet_explainer.__all__)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    assert getattr(zfnet_explainer, name).__doc__


def test_the_names_are_listed() -> None:
    """As an editor or a notebook asks for them."""
    assert set(zfnet_explainer.__all__) <= set(dir(zfnet_explainer))


def test_its_types_are_for_whoever_uses_it() -> None:
    """A type checker reads them of an installed package that has this file (PEP 561)."""
    assert files(zfnet_explainer).joinpath("py.typed").is_file()


def test_another_name_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'zfnet_explainer' has no attribute 'Explaner'$"):
        _ = zfnet_explainer.Explaner


def test_importing_it_costs_nothing() -> None:
    show = "import sys, zfnet_explainer; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert {"torch", "numpy", "PIL"}.isdisjoint(done.stdout.split())
