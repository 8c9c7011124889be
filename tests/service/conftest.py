"""A service and one of its explanations."""

from typing import Any

import pytest

from tests.served import SMALL, service
from zfnet_explainer.service.service import Service

from .asking import PNG, explain, one


@pytest.fixture(scope="module")
def served() -> Service:
    return service()


@pytest.fixture(scope="module")
def whole(served: Service) -> Any:
    return one(served, explain({"data": PNG, "top_k": "2", "layer": "1,5", **SMALL}))
