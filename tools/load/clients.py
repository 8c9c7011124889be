"""Clients that ask again as soon as they are answered, and what they see."""

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles

import httpx
from tests.samples import SAMPLE

PICTURE = SAMPLE.read_bytes()
PREDICT, EXPLAIN = "/predictions/zfnet", "/explanations/zfnet"


@dataclass(frozen=True)
class Seen:
    """Seconds of each of at least one answer, and how long it took to get them all."""

    seconds: Sequence[float]
    elapsed: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.elapsed

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def p99(self) -> float:
        return quantiles(self.seconds, n=100, method="inclusive")[98] if len(self.seconds) > 1 else self.seconds[0]


def together(blocks: Iterable[Seen]) -> Seen:
    """Blocks of answers as one."""
    some = [*blocks]
    return Seen([one for block in some for one in block.seconds], sum(block.elapsed for block in some))


def ask(client: httpx.Client, path: str) -> float:
    """Seconds of one answer; a refusal is an error."""
    start = time.perf_counter()
    answer = client.post(path, files={"data": PICTURE})
    if answer.status_code != 200:
        raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:200]}")
    return time.perf_counter() - start


def in_turn(client: httpx.Client, path: str, count: int) -> Seen:
    """So many answers to one client."""
    start = time.perf_counter()
    seconds = [ask(client, path) for _ in range(count)]
    return Seen(seconds, time.perf_counter() - start)


def at_once(client: httpx.Client, path: str, clients: int, seconds: float) -> Seen:
    """What so many clients get that begin new requests for so many seconds."""
    start = time.perf_counter()

    def loop(_: int) -> list[float]:
        taken = []
        while time.perf_counter() - start < seconds:
            taken.append(ask(client, path))
        return taken

    with ThreadPoolExecutor(clients) as executor:
        taken = [one for some in executor.map(loop, range(clients)) for one in some]
    return Seen(taken, time.perf_counter() - start)


@contextmanager
def asking(client: httpx.Client, path: str) -> Iterator[list[float]]:
    """One client asks for the length of the context, which begins when it has its first answer; seconds of each."""
    taken: list[float] = []
    first, stop = threading.Event(), threading.Event()

    def loop() -> None:
        while not stop.is_set():
            taken.append(ask(client, path))
            first.set()

    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(loop)
        try:
            while not first.wait(0.1) and not future.done():
                pass
            yield taken
        finally:
            stop.set()
        future.result()


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Processes that are started inside run on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
