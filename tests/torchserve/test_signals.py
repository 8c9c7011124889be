"""A signal in the middle of starting something is late, not lost."""

import signal
from collections.abc import Iterator

import pytest

from zfnet_explainer.torchserve.signals import signals_held


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Ctrl-C as a terminal's processes have it; a shell's background job ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_is_delivered_after_the_block() -> None:
    steps = []

    def interrupted_half_way() -> None:
        with signals_held():
            signal.raise_signal(signal.SIGINT)
            steps.append("finished")

    with pytest.raises(KeyboardInterrupt):
        interrupted_half_way()
    assert steps == ["finished"]


def test_the_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with signals_held():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
