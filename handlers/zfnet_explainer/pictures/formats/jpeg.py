"""JPEG files without the segments that say nothing of pixels."""

import re
from collections.abc import Iterator

from ...errors import UndecodableImage

SIGNATURE, START = b"\xff\xd8\xff", b"\xff\xd8"
MARKER = re.compile(rb"\xff([\x01-\xfe])")  # after rubbish and fill bytes, which decoders pass over too
MAX_SEGMENTS = 10_000  # 20 MiB of full ones are 320
START_OF_SCAN = 0xDA
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # what says how large the picture is
METADATA = {*range(0xE0, 0xF0), 0xFE}  # what applications say, and comments
END_OF_IMAGE = 0xD9
# What may stand behind a scan: the end, or what has a length. All else decoders pass over, or refuse the file for.
BEHIND_SCAN = re.compile(rb"\xff([\xc4\xcc\xd9-\xdd\xe0-\xef\xfe])")
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xDA)}
NO_HEADER = "the JPEG picture's header cannot be read: is it complete?"
# What colours and orientation are read from all the same, the first of each.
KEPT = {0xE0: b"JFIF", 0xE1: b"Exif\0\0", 0xEE: b"Adobe"}


def without_metadata(encoded: bytes) -> bytes:
    """The file without profiles, comments and the like before its first scan; as it is where it is no JPEG.

    Raises UndecodableImage for too many segments, or where they end before a scan.
    """
    if not encoded.startswith(SIGNATURE):
        return encoded
    kept: list[bytes | memoryview] = [START]
    view, seen = memoryview(encoded), set[int]()
    for marker, start, end in _segments(encoded):
        named = marker in KEPT and encoded.startswith(KEPT[marker], start + 4)
        if marker not in METADATA or (named and marker not in seen):
            kept.append(view[start:end])
        if named:
            seen.add(marker)
    return b"".join(kept)


def scans(encoded: bytes) -> int:
    """How many scans are decoded of a file without metadata: those up to its end, behind which phones put films.

    Raises UndecodableImage for too many segments.
    """
    *_, (_, at, _) = _segments(encoded)
    count = 0
    for _ in range(MAX_SEGMENTS):
        found = BEHIND_SCAN.search(encoded, at)
        if found is None or found[1][0] == END_OF_IMAGE:
            return count
        count += found[1][0] == START_OF_SCAN
        at = found.end() + int.from_bytes(encoded[found.end() : found.end() + 2], "big")
    raise _too_many_segments()


def height_at(encoded: bytes, at: int) -> int:
    """How many rows a JPEG has that begins there. Raises UndecodableImage where it does not say so."""
    for marker, start, _ in _segments(encoded, at + len(START)):
        if marker in FRAMES:
            return int.from_bytes(encoded[start + 5 : start + 7], "big")
    raise UndecodableImage(NO_HEADER)


def _segments(encoded: bytes, at: int = len(START)) -> Iterator[tuple[int, int, int]]:
    """Marker, beginning and end of every whole segment before the scans, then the scans to the file's end as one."""
    for _ in range(MAX_SEGMENTS):
        found = MARKER.search(encoded, at)
        if found is None:
            break
        marker, start, at = found[1][0], found.start(), found.end()
        if marker == START_OF_SCAN:
            yield marker, start, len(encoded)
            return
        if marker not in WITHOUT_LENGTH:
            length = int.from_bytes(encoded[at : at + 2], "big")
            at += length
            if length < 2 or at > len(encoded):
                break
            yield marker, start, at
    else:
        raise _too_many_segments()
    raise UndecodableImage(NO_HEADER)


def _too_many_segments() -> UndecodableImage:
    return UndecodableImage(f"the JPEG picture has more than {MAX_SEGMENTS:,} segments: save it again")
