"""Pictures that come with a model, for who has none at hand: JPEGs beside its weights, listed in `samples.json`."""

import json
from dataclasses import dataclass
from pathlib import Path

INDEX = "samples.json"
JPEG_START = b"\xff\xd8\xff"
MAX_BYTES = 40_000  # of a picture: the page carries them all


class BadSamples(ValueError):
    """Samples that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Sample:
    """A JPEG, its path beside the weights, what it shows, whose it is and on which terms."""

    file: str
    title: str
    credit: str
    licence: str
    jpeg: bytes


def load_samples(folder: Path) -> tuple[Sample, ...]:
    """The samples beside the weights in this folder, in their index's order; none where there is no index.

    Raises BadSamples.
    """
    index = folder / INDEX
    try:
        entries = json.loads(index.read_bytes())
        return tuple(Sample(**entry, jpeg=_jpeg(folder, entry["file"])) for entry in entries)
    except FileNotFoundError as error:
        if not index.exists():
            return ()
        raise _bad(index, f"names {error.filename}, which is missing") from error
    except OSError as error:
        raise _bad(index, f"cannot be read with its pictures ({error.strerror})") from error
    except BadSamples:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(index, "is no list of objects with file, title, credit and licence") from error


def _jpeg(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BadSamples(f"{path} must lie below {folder}, to travel with the weights")
    content = path.read_bytes()
    if not content.startswith(JPEG_START) or len(content) > MAX_BYTES:
        raise BadSamples(f"{path} must be a JPEG of at most {MAX_BYTES:,} bytes to travel in the page")
    return content


def _bad(index: Path, what: str) -> BadSamples:
    return BadSamples(f"{index} {what}: put that right, or remove it for a page without samples")
