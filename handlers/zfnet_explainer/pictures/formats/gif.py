"""GIF files without the extensions before their first frame that say nothing of pixels."""

import re

from ...errors import UndecodableImage

SIGNATURES = (b"GIF87a", b"GIF89a")
SCREEN = 13  # bytes before the palette
BLOCK = re.compile(rb"[!,;]")  # an extension, a frame or the end, after rubbish, which decoders pass over too
EXTENSION, CONTROL = b"!", 0xF9
MAX_EXTENSIONS = 10_000  # before the first frame


def without_metadata(encoded: bytes) -> bytes:
    """The file with no extension before its first frame but the last one that says what is transparent.

    As it is where it is no GIF. Raises UndecodableImage for too many extensions.
    """
    if not encoded.startswith(SIGNATURES) or len(encoded) <= SCREEN:
        return encoded
    flags = encoded[10]
    first = at = SCREEN + (3 << (flags & 7) + 1 if flags & 128 else 0)
    control, extensions = b"", 0
    while (found := BLOCK.search(encoded, at)) and found[0] == EXTENSION:
        extensions += 1
        if extensions > MAX_EXTENSIONS:
            raise UndecodableImage(f"the GIF picture has more than {MAX_EXTENSIONS:,} extensions: save it again")
        at = _end(encoded, found.end() + 1)
        if encoded[found.end() : found.end() + 1] == bytes([CONTROL]):
            control = encoded[found.start() : at]
    return encoded[:first] + control + (encoded[found.start() :] if found else b"")


def _end(encoded: bytes, at: int) -> int:
    """Where the blocks of an extension end, each of which begins with its length; the last has none."""
    while at < len(encoded) and encoded[at]:
        at += 1 + encoded[at]
    return at + 1
