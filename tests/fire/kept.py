"""What a process keeps of refused bodies: `python -m tests.fire.kept` sends them round after round."""

import gc
import tracemalloc

import psutil

from ..served import service
from .corpus import READ, incoming

ROUNDS, EARLY = 9, 3
HEAVY = tuple(
    f"bad_pictures: {name}"
    for name in (
        "21 MiB that begin as PNG",
        "21 MiB that begin as JPEG",
        "21 MiB that begin as text",
        "a byte over 20 MiB",
        "20 MiB of zeros after a PNG's signature",
        "a megabyte of chance",
    )
) + tuple(f"documents: {name}" for name in ("two million empty lists", "a name of a megabyte"))


def main() -> None:
    """Print the bytes of one round, and of Python's and of all memory after an early round and the last."""
    served = service()
    cases = [READ[name] for name in HEAVY]
    assert all(case.status != 200 for case in cases)
    print(sum(len(case.content) for case in cases), min(len(case.content) for case in cases))
    gc.disable()  # a body that a cycle holds is kept
    tracemalloc.start()
    for number in range(1, ROUNDS + 1):
        for case in cases:
            served.answer([incoming(case)], ["id"])
        if number in (EARLY, ROUNDS):
            print(tracemalloc.get_traced_memory()[0], psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main()
