"""Pictures as a stream: decoded when they are wanted, as a request's are, and never all in memory."""

import math
import random
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..cores import usable_cores
from ..errors import RequestError
from ..explanation import Pixels
from .decode import decode
from .files import Listing, PictureFile, Retrying, picture_files
from .view import View

TOLERATED = 0.01
MOST_DECODERS = 8


class Unreadable(ValueError):
    """A picture that cannot be read or decoded; the message names it and says why."""


@dataclass(frozen=True)
class Decoded:
    """A picture uint8 [size, size, 3], its file and the file's number in the stream."""

    number: int
    file: PictureFile
    pixels: Pixels


@dataclass(frozen=True)
class Tolerance:
    """How many of a split's pictures may be unreadable: a share, rounded up, or none.

    `tell` hears of each; all are left out.
    """

    strict: bool
    tell: Callable[[str], None]

    def check(self, unreadable: int, count: int, example: str) -> None:
        """Raise ValueError where too many of `count` are unreadable, for instance `example`."""
        share = 0 if self.strict else TOLERATED
        if unreadable > math.ceil(share * count):
            raise ValueError(
                f"{unreadable} of {count} pictures cannot be read, more than the {share:.0%} that are left out; "
                f"such as {example}"
            )

    def leave_out(self, reason: str) -> None:
        self.tell(f"left out: {reason}")

    def remark(self, lack: str) -> None:
        """Tell what else a split lacks; ValueError where nothing is tolerated."""
        if self.strict:
            raise ValueError(lack)
        self.tell(lack)


def pixels(file: PictureFile, view: View | int, retrying: Retrying) -> Pixels:
    """What a net sees of it, uint8 [size, size, 3], as the server cuts it. Raises Unreadable."""
    try:
        return decode(retrying.read(file), view).pixels
    except OSError as error:
        raise Unreadable(f"{file.name}: it cannot be read: {error.strerror}") from error
    except RequestError as error:
        raise Unreadable(f"{file.name}: {error}") from error


def decoded_batches(
    files: Iterable[tuple[int, PictureFile]],
    view: View | int,
    batch: int,
    unreadable: Callable[[PictureFile, str], None],
) -> Iterator[tuple[int, list[Decoded]]]:
    """How many files were taken, and the pictures among them, `batch` files at a time.

    A file that is no picture is left out and told to `unreadable` with the reason, which names it.
    """
    retrying = Retrying()

    def attempt(numbered: tuple[int, PictureFile]) -> Decoded | Unreadable:
        number, file = numbered
        try:
            return Decoded(number, file, pixels(file, view, retrying))
        except Unreadable as error:
            return error

    stream = iter(files)
    with decoders() as pool:
        while taken := list(islice(stream, batch)):
            pictures = []
            for (_, file), found in zip(taken, pool.map(attempt, taken), strict=True):
                if isinstance(found, Decoded):
                    pictures.append(found)
                else:
                    unreadable(file, str(found))
            yield len(taken), pictures


def decoders() -> ThreadPoolExecutor:
    """Threads that decode side by side: each may hold the pixels of a file of 50 megapixels."""
    return ThreadPoolExecutor(min(MOST_DECODERS, usable_cores()))


def sampled(data: Path, split: str, listing: Listing, count: int, seed: int, view: View | int) -> list[Decoded]:
    """At most `count` of the pictures, as the seed draws them; those that cannot be decoded are left out.

    Neighbours are drawn too: in the order of the files they would be of one class.
    """
    drawn = random.Random(seed).sample(range(listing.count), min(count, listing.count))  # noqa: S311
    turns = {number: turn for turn, number in enumerate(drawn)}
    chosen = ((number, file) for number, file in enumerate(picture_files(data, split)) if number in turns)
    pictures = [picture for _, batch in decoded_batches(chosen, view, 64, lambda *_: None) for picture in batch]
    return sorted(pictures, key=lambda picture: turns[picture.number])
