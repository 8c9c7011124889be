"""Whatever is sent, nothing but a RequestError comes out; `python tests/fuzz_wire.py 100000` tries more."""

from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.fuzz_wire import OPTIONS, REQUESTS, check_options, check_picture, check_request, pictures
from zfnet_explainer.wire.request import Incoming

briefly = settings(
    max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@briefly
@given(pictures())
def test_pictures(data: bytes) -> None:
    assert check_picture(data)


@briefly
@given(OPTIONS)
def test_options(options: dict[str, Any]) -> None:
    assert check_options(options)


@briefly
@given(REQUESTS)
def test_requests(incoming: Incoming) -> None:
    assert check_request(incoming)
