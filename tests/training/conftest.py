"""A run that several files look at."""

from pathlib import Path

import pytest

from .runs import trainer


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbs."""
    out = tmp_path_factory.mktemp("whole")
    trainer(out).run()
    return out
