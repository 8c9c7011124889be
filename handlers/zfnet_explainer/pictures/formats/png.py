"""PNG files without the chunks that say nothing of pixels."""

import re
import struct
import zlib
from collections.abc import Iterator

from ...errors import UndecodableImage

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEAD = struct.Struct(">I4s")
CHECKSUM = 4
MAX_CHUNKS = 100_000  # of a kilobyte or more they are all that a file may have
# What the pixels, their transparency and their orientation are read from.
KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
ORIENTED = b"Raw profile type exif\0"  # an EXIF as a text
NAME = re.compile(rb"[A-Za-z]{4}")
MAX_TEXT = 2**20  # that a compressed text may unfold to; Pillow refuses the picture with more


def without_metadata(encoded: bytes) -> bytes:
    """The file without profiles, texts and the like, which may be huge or damaged; as it is where it is no PNG.

    What says how the picture is turned is kept, where the first of its kind is sound and not too long. A file that
    is cut, or no PNG after its signature, is left so from there on. Raises UndecodableImage for too many chunks.
    """
    if not encoded.startswith(SIGNATURE):
        return encoded
    kept: list[bytes | memoryview] = [SIGNATURE]
    view, rest, seen = memoryview(encoded), len(SIGNATURE), set[bytes]()
    for kind, start, end in _chunks(encoded):
        oriented = _orienting(kind, encoded, start + HEAD.size)
        if kind in KEPT or (oriented and oriented not in seen and _is_sound(kind, encoded[start + HEAD.size : end])):
            kept.append(view[start:end])
        seen.add(oriented)
        rest = end
    return b"".join([*kept, view[rest:]])


def _chunks(encoded: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, beginning and end of every whole chunk."""
    at = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if at + HEAD.size > len(encoded):
            return
        length, kind = HEAD.unpack_from(encoded, at)
        end = at + HEAD.size + length + CHECKSUM
        if end > len(encoded) or not NAME.fullmatch(kind):
            return
        yield kind, at, end
        at = end
    raise UndecodableImage(f"the PNG picture has more than {MAX_CHUNKS:,} chunks: save it again")


def _orienting(kind: bytes, encoded: bytes, start: int) -> bytes:
    """By what name this chunk may say how the picture is turned; empty where it does not."""
    if kind == b"eXIf":
        return kind
    return ORIENTED if kind in TEXTS and encoded.startswith(ORIENTED, start) else b""


def _is_sound(kind: bytes, chunk: bytes) -> bool:
    content, checksum = chunk[:-CHECKSUM], chunk[-CHECKSUM:]
    return checksum == zlib.crc32(kind + content).to_bytes(CHECKSUM, "big") and (
        kind == b"eXIf" or _unfolds(kind, content)
    )


def _unfolds(kind: bytes, text: bytes) -> bool:
    """Whether a text is not compressed, or unfolds to no more than it may."""
    packed = text.partition(b"\0")[2]
    if kind == b"iTXt" and packed[:1] != b"\0":
        packed = packed[1:2] + packed[2:].split(b"\0", 2)[-1]
    elif kind != b"zTXt":
        return True
    try:
        return packed[:1] == b"\0" and len(zlib.decompressobj().decompress(packed[1:], MAX_TEXT)) < MAX_TEXT
    except zlib.error:
        return False
