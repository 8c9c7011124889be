"""Builds an atlas and is killed on the way, as often as asked, each time a few pictures later.

WEIGHTS DATA OUT COUNT...: OUT/0 is what is left after COUNT decoded pictures; OUT/1 goes on from there, and so on.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

from zfnet_explainer.pictures import stream
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.view import Picture

from . import tiny


def build_until_killed(weights: Path, data: Path, out: Path, pictures: int) -> None:
    """Die without a word when so many pictures are decoded."""
    left = pictures

    def counted(encoded: bytes, size: int) -> Picture:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return decode(encoded, size)

    vars(stream)["decode"] = counted
    tiny.built(weights, data, out)


def main(weights: Path, data: Path, out: Path, counts: list[int]) -> None:
    for turn, pictures in enumerate(counts):
        if turn:
            shutil.copytree(out / str(turn - 1), out / str(turn))
        child = os.fork()  # which spares importing torch again
        if child == 0:
            build_until_killed(weights, data, out / str(turn), pictures)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), [int(count) for count in sys.argv[4:]])
