"""TIFF files without the entries of their directory that say nothing of pixels."""

import struct
from typing import NamedTuple

from PIL import ExifTags

from ..errors import UndecodableImage

Tag = ExifTags.Base
MAX_VALUES = 100_000  # of an entry: the strips or tiles of a picture
LAST_TYPE = 16  # of an entry's values, that Pillow knows; libtiff knows more
BYTES = {1, 7}  # types whose values Pillow leaves as bytes
# What pixels and orientation are read from, by Pillow and by libtiff, which reads every entry that is there.
KEPT = {
    Tag.ImageWidth, Tag.ImageLength, Tag.BitsPerSample, Tag.Compression, Tag.PhotometricInterpretation, Tag.FillOrder,
    Tag.StripOffsets, Tag.Orientation, Tag.SamplesPerPixel, Tag.RowsPerStrip, Tag.StripByteCounts,
    Tag.PlanarConfiguration, Tag.T4Options, Tag.T6Options, Tag.Predictor, Tag.ColorMap, Tag.TileWidth, Tag.TileLength,
    Tag.TileOffsets, Tag.TileByteCounts, Tag.InkSet, Tag.ExtraSamples, Tag.SampleFormat, Tag.JPEGTables, Tag.JPEGProc,
    Tag.JpegIFOffset, Tag.JpegIFByteCount, Tag.JpegRestartInterval, Tag.JpegLosslessPredictors,
    Tag.JpegPointTransforms, Tag.JpegQTables, Tag.JpegDCTables, Tag.JpegACTables, Tag.YCbCrCoefficients,
    Tag.YCbCrSubSampling, Tag.YCbCrPositioning, Tag.ReferenceBlackWhite, Tag.XMLPacket,
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

    Raises UndecodableImage for a directory that is cut, or for more strips or tiles than are read.
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
        kept = _needed(encoded, start + count.size, entries, struct.Struct(layout.order + layout.entry))
    except struct.error as error:
        raise UndecodableImage("the TIFF picture's directory cannot be read: is it complete?") from error
    directory = b"".join([count.pack(len(kept)), *kept, offset.pack(0)])  # no longer than before
    return b"".join([encoded[:start], directory, encoded[start + len(directory) :]])


def _needed(encoded: bytes, start: int, entries: int, form: struct.Struct) -> list[bytes]:
    """The first entry of every tag that is kept."""
    kept: dict[int, bytes] = {}
    for at in range(start, start + entries * form.size, form.size):
        entry = encoded[at : at + form.size]
        tag, kind, values, _ = form.unpack(entry)
        if tag not in KEPT or tag in kept or kind > LAST_TYPE:
            continue
        if tag == Tag.XMLPacket and (values > MAX_VALUES or kind not in BYTES):
            continue
        if values > MAX_VALUES:
            raise UndecodableImage(f"the TIFF picture has more than {MAX_VALUES:,} strips or tiles: save it again")
        kept[tag] = entry
    return list(kept.values())
