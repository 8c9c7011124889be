"""A signal in the middle of starting something is late, not lost."""

import signal
from collections.abc import Iterator
from types import FrameType

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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_is_held_and_its_handler_given_back(number: signal.Signals) -> None:
    heard: list[int] = []

    def hear(which: int, _: FrameType | None) -> None:
        heard.append(which)

    before = signal.signal(number, hear)
    try:
        with signals_held():
            signal.raise_signal(number)
            assert heard == []
        assert heard == [number]
        assert signal.getsignal(number) is hear
    finally:
        signal.signal(number, before)
