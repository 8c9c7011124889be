"""JPEG files without the segments that say nothing of pixels."""

import re
from collections.abc import Iterator

from ...errors import UndecodableImage

SIGNATURE, START = b"\xff\xd8\xff", b"\xff\xd8"
MARKER = re.compile(rb"\xff([\x01-\xfe])")  # after rubbish and fill bytes, which decoders pass over too
MAX_SEGMENTS = 10_000  # 20 MiB of full ones are 320
START_OF_SCAN = 0xDA
METADATA = {*range(0xE0, 0xF0), 0xFE}  # what applications say, and comments
END_OF_IMAGE = 0xD9
AFTER_SCAN = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")  # compressed bytes are no markers, nor are restarts of theirs
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xDA)}
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
    """How many scans are decoded: those up to the picture's end, behind which phones put films and other pictures.

    Raises UndecodableImage for too many segments.
    """
    count, at = 0, len(START)
    for _ in range(MAX_SEGMENTS):
        found = AFTER_SCAN.search(encoded, at)
        if found is None or found[1][0] == END_OF_IMAGE:
            return count
        count += found[1][0] == START_OF_SCAN
        at = found.end() + int.from_bytes(encoded[found.end() : found.end() + 2], "big")
    raise _too_many_segments()


def _segments(encoded: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, beginning and end of every whole segment before the scans, then the scans to the file's end as one."""
    at = len(START)
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
    raise UndecodableImage("the JPEG picture's header cannot be read: is it complete?")


def _too_many_segments() -> UndecodableImage:
    return UndecodableImage(f"the JPEG picture has more than {MAX_SEGMENTS:,} segments: save it again")
