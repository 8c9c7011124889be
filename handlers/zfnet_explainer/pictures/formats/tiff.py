"""TIFF files without the entries of their directory that say nothing of pixels, and what decoding them costs."""

import struct
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any, NamedTuple

from PIL import ExifTags, ImageFile

from ...errors import UndecodableImage
from . import jpeg

Tag = ExifTags.Base
JPEG = 7  # a compression
SEPARATE = 2  # a planar configuration
BLOCK = 8  # pixels of a JPEG's blocks, which are decoded whole, across and down
MAX_VALUES = 100_000  # of an entry: the strips or tiles of a picture
LAST_TYPE = 16  # of an entry's values, that Pillow knows; libtiff knows more
COUNTS = {Tag.StripByteCounts, Tag.TileByteCounts}
COUNT_FORMS = {3: "H", 4: "L", 16: "Q"}  # SHORT, LONG and LONG8
# What pixels and orientation are read from, by Pillow and by libtiff, which reads every entry that is there.
KEPT = {
    Tag.ImageWidth, Tag.ImageLength, Tag.BitsPerSample, Tag.Compression, Tag.PhotometricInterpretation, Tag.FillOrder,
    Tag.StripOffsets, Tag.Orientation, Tag.SamplesPerPixel, Tag.RowsPerStrip, Tag.StripByteCounts,
    Tag.PlanarConfiguration, Tag.T4Options, Tag.T6Options, Tag.Predictor, Tag.ColorMap, Tag.TileWidth, Tag.TileLength,
    Tag.TileOffsets, Tag.TileByteCounts, Tag.InkSet, Tag.ExtraSamples, Tag.SampleFormat, Tag.JPEGTables, Tag.JPEGProc,
    Tag.JpegIFOffset, Tag.JpegIFByteCount, Tag.JpegRestartInterval, Tag.JpegLosslessPredictors,
    Tag.JpegPointTransforms, Tag.JpegQTables, Tag.JpegDCTables, Tag.JpegACTables, Tag.YCbCrCoefficients,
    Tag.YCbCrSubSampling, Tag.YCbCrPositioning, Tag.ReferenceBlackWhite,
}  # fmt: skip


class Layout(NamedTuple):
    """Byte order, where the directory's offset stands, and the forms of offsets, of the entries' number and of one."""

    order: str
    at: int
    offset: str
    number: str
    entry: str


LITTLE, BIG = Layout("<", 4, "L", "H", "HHL4s"), Layout(">", 4, "L", "H", "HHL4s")
LAYOUTS = {  # two of them with the 42 the wrong way round, which Pillow reads
    b"II*\0": LITTLE, b"II\0*": LITTLE, b"MM\0*": BIG, b"MM*\0": BIG, b"II+\0": Layout("<", 8, "Q", "Q", "HHQ8s"),
}  # fmt: skip
UNREAD = b"MM\0+"  # Pillow takes it for another layout than libtiff does


def without_metadata(encoded: bytes) -> bytes:
    """The file with its first page alone, and of that what the pixels need; as it is where it is no TIFF.

    Raises UndecodableImage for a directory that is cut, or for strips or tiles that are too many or overlap.
    """
    if encoded.startswith(UNREAD):
        raise UndecodableImage("a BigTIFF whose bytes stand in big-endian order is not read: save it again, as PNG")
    layout = LAYOUTS.get(encoded[:4])
    if layout is None:
        return encoded
    offset, count = struct.Struct(layout.order + layout.offset), struct.Struct(layout.order + layout.number)
    try:
        [start] = offset.unpack(encoded[layout.at : layout.at + offset.size])
        [entries] = count.unpack(encoded[start : start + count.size])
        form = struct.Struct(layout.order + layout.entry)
        kept = _needed(encoded, start + count.size, entries, form)
        directory = b"".join([count.pack(len(kept)), *kept, offset.pack(0)])  # no longer than before
        cleaned = b"".join([encoded[:start], directory, encoded[start + len(directory) :]])
        _refuse_overlaps(cleaned, layout.order, (form.unpack(entry) for entry in kept))
    except struct.error as error:
        raise UndecodableImage("the TIFF picture's directory cannot be read: is it complete?") from error
    return cleaned


def _needed(encoded: bytes, start: int, entries: int, form: struct.Struct) -> list[bytes]:
    """The first entry of every tag that is kept."""
    kept: dict[int, bytes] = {}
    for at in range(start, start + entries * form.size, form.size):
        entry = encoded[at : at + form.size]
        tag, kind, values, _ = form.unpack(entry)
        if tag not in KEPT or tag in kept or kind > LAST_TYPE:
            continue
        if values > MAX_VALUES:
            raise UndecodableImage(f"the TIFF picture has more than {MAX_VALUES:,} strips or tiles: save it again")
        kept[tag] = entry
    return list(kept.values())


def _refuse_overlaps(encoded: bytes, order: str, entries: Iterable[tuple[int, int, int, bytes]]) -> None:
    """Each strip or tile costs its bytes, which many may share. Of a single one libtiff mends a wrong count."""
    for tag, kind, values, field in entries:
        if tag not in COUNTS or values < 2:
            continue
        if kind not in COUNT_FORMS:
            raise UndecodableImage("the lengths of the TIFF picture's strips or tiles cannot be read: save it again")
        form = struct.Struct(f"{order}{values}{COUNT_FORMS[kind]}")
        [at] = struct.unpack(order + ("L" if len(field) == 4 else "Q"), field)
        told = field[: form.size] if form.size <= len(field) else encoded[at : at + form.size]
        if sum(form.unpack(told)) > len(encoded):
            raise UndecodableImage(
                "the TIFF picture's strips or tiles have more bytes than the file: is it complete? If so save it again"
            )


def tile_size(image: ImageFile.ImageFile) -> tuple[int, int]:
    """Width and height of what libtiff decodes as a whole, however little of it is the picture; 1 x 1 of strips.

    Raises UndecodableImage where they are no positive integers.
    """
    tags = getattr(image, "tag_v2", {})
    sides = tags.get(Tag.TileWidth, 1), tags.get(Tag.TileLength, 1)
    if not all(isinstance(side, int) and side > 0 for side in sides):
        raise UndecodableImage("the size of the TIFF picture's tiles cannot be read: save it again")
    return sides


def coded_pixels(image: ImageFile.ImageFile, encoded: bytes) -> int:
    """How many pixels are decoded: with the margins of tiles and strips, and as often as Pillow is told of a strip.

    Those of JPEGs count for each plane: it has its own, each of as many scans as libtiff reads.
    """
    tags = getattr(image, "tag_v2", {})
    jpegs = tags.get(Tag.Compression) == JPEG
    planes = tags.get(Tag.SamplesPerPixel, 1) if jpegs and tags.get(Tag.PlanarConfiguration) == SEPARATE else 1
    width, height = tile_size(image)
    extents = (tile.extents for tile in image.tile if tile.extents)
    pixels = planes * sum(_up(x1 - x0, width) * _up(y1 - y0, height) for x0, y0, x1, y1 in extents)
    return max(pixels, _pixels_of_strips(tags, encoded)) if jpegs and Tag.StripOffsets in tags else pixels


def _pixels_of_strips(tags: Mapping[int, Any], encoded: bytes) -> int:
    """How many pixels the JPEGs of strips have: of whole blocks, of which the picture may be a single row.

    And below the picture: libtiff lets them in each plane's last strip, and decodes all.
    """
    width, height, offsets = tags[Tag.ImageWidth], tags[Tag.ImageLength], tags[Tag.StripOffsets]
    rows, planes = tags.get(Tag.RowsPerStrip, height), tags.get(Tag.SamplesPerPixel, 1)
    if not all(isinstance(number, int) and number > 0 for number in (width, height, rows, planes, *offsets)):
        raise UndecodableImage("the TIFF picture's strips cannot be read: save it again")
    rows = min(rows, height)
    strips: int = ceil(height / rows)
    last = offsets[strips - 1 :: strips][:planes]
    longest = (max(rows, jpeg.height_at(encoded, offset)) for offset in last)
    return _up(width, BLOCK) * sum((strips - 1) * _up(rows, BLOCK) + _up(length, BLOCK) for length in longest)


def _up(length: int, step: int) -> int:
    return ceil(length / step) * step
