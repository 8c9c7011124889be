"""What is left of a file once its metadata are dropped, as Pillow sees it."""

import contextlib
import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.samples import noise, saved, tiff
from zfnet_explainer.errors import UndecodableImage
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.formats import gif, jpeg
from zfnet_explainer.pictures.formats import tiff as cleaned_tiff
from zfnet_explainer.pictures.work import Work

PICTURE = Image.fromarray(noise(64, 64))
XMP = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


def opened(data: bytes) -> Any:
    return Image.open(io.BytesIO(data))


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def exif(orientation: int) -> bytes:
    found = Image.Exif()
    found[ExifTags.Base.Orientation] = orientation
    return found.tobytes()


PLAIN = saved(PICTURE, "JPEG")


def with_segments(*segments: bytes) -> bytes:
    return PLAIN[:2] + b"".join(segments) + PLAIN[2:]


def test_of_a_jpegs_metadata_the_first_that_may_turn_it_are_kept() -> None:
    others = [
        segment(0xE1, b"FLIR\0"),
        segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(99)),
        segment(0xED, b"Photoshop 3.0\0"),
    ]
    first, xmp = segment(0xE1, exif(6)), segment(0xE1, XMP % 6)
    later = [segment(0xE1, exif(3)), segment(0xE1, XMP % 3), segment(0xFE, b"a comment")]
    found = opened(jpeg.without_metadata(with_segments(*others, first, xmp, *later)))
    assert [name for name, _ in found.applist] == ["APP1", "APP0"]
    assert found.info["exif"] == exif(6)
    assert (np.array(found) == np.array(opened(PLAIN))).all()


@pytest.mark.parametrize(
    "segments",
    [
        [segment(0xE1, exif(6))],
        [segment(0xE1, XMP % 3), segment(0xE1, exif(6))],
        [segment(0xE1, exif(6)), segment(0xE1, exif(3))],
        [segment(0xE3, b"")] * 5000 + [segment(0xE1, exif(6))],
    ],
    ids=["exif", "xmp", "two", "late"],
)
def test_a_jpeg_is_turned_as_its_metadata_say(segments: list[bytes]) -> None:
    turned = opened(PLAIN).transpose(Image.Transpose.ROTATE_270)
    assert (decode(with_segments(*segments), 64).pixels == np.array(turned)).all()


def test_an_adobe_segment_says_how_a_jpegs_colours_are_stored() -> None:
    bare = PLAIN[:2] + PLAIN[20:]  # without JFIF, which says it too
    said = bare[:2] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\0") + bare[2:]
    assert (decode(said, 64).pixels == np.array(opened(said))).all()
    assert (decode(said, 64).pixels != decode(PLAIN, 64).pixels).any()


@pytest.mark.parametrize("cut", [3, 4, 12, 300])
def test_a_jpeg_whose_header_is_cut_is_refused(cut: int) -> None:
    with pytest.raises(UndecodableImage, match="header cannot be read: is it complete"):
        jpeg.without_metadata(PLAIN[:cut])


def test_a_jpegs_scans_are_counted_to_its_end() -> None:
    """Not in thumbnails, nor in the film or the pictures behind it; an end within a segment is none."""
    progressive = saved(PICTURE, "JPEG", progressive=True)
    count = progressive.count(b"\xff\xda")
    assert count > 1
    last = progressive.rindex(b"\xff\xda")
    ended = progressive[:last] + segment(0xFE, b"\xff\xd9") + progressive[last:]
    assert jpeg.scans(progressive) == jpeg.scans(progressive + 3 * PLAIN) == jpeg.scans(ended) == count
    assert jpeg.scans(with_segments(segment(0xE1, b"Exif\0\0" + progressive))) == 1
    wide = saved(Image.new("L", (0xFFD9, 1)), "JPEG")
    assert jpeg.scans(wide) == 1, "its width is no end"
    restarted = saved(PICTURE, "JPEG", restart_marker_rows=1)
    assert b"\xff\xd1" in restarted
    assert jpeg.scans(restarted) == 1
    with pytest.raises(UndecodableImage, match="more than 10,000 segments"):
        jpeg.scans(progressive[:last] + segment(0xFE, b"") * 10_000 + progressive[last:])


def _grey(level: int) -> tuple[bytes, bytes, bytes]:
    """A JPEG of one level of grey: what stands before its first scan, the scan's header, and the whole scan."""
    whole = saved(Image.new("L", (64, 64), level), "JPEG", progressive=True)
    start = whole.index(b"\xff\xda")
    scan = whole[start : whole.index(b"\xff", start + 10)]
    return whole[:start], scan[:10], scan


DARK, LIGHT = _grey(16), _grey(240)
TABLES = LIGHT[0][LIGHT[0].index(b"\xff\xc4") :]
END, RESTARTED, UNRESTARTED = b"\xff\xd9", segment(0xDD, b"\0\1"), segment(0xDD, b"\0\0")


@pytest.mark.parametrize(
    ("before", "first", "between"),
    [
        (b"", DARK[2], b""),
        (END, DARK[2], b""),
        (END + b"\xff\xd8", DARK[2], b""),
        (b"", DARK[2], b"\xff\xff\xff"),
        (b"", DARK[2], b"rubbish\xff\0"),
        (b"", DARK[2], b"\xff\1\xff\xd3"),
        (b"", DARK[2], segment(0xFE, END) + segment(0xE5, END) + segment(0xDC, END)),
        (b"", DARK[2], b"\xff\xfe\0\0\xff\xe0\0\1"),
        (b"", DARK[2], END),
        (b"", DARK[2], segment(0xFE, LIGHT[2])),
        (RESTARTED, DARK[1], b"\xff\5\xff\xff"),
        (RESTARTED, DARK[1], b"\xff\xbf\xff\xff" * 3),
        (RESTARTED, DARK[1], b"\xff\xd5\xff\xff\xff\xd0\0\0\xff\xd1"),
        (RESTARTED, DARK[1], segment(0xFE, END)),
    ],
)
def test_every_scan_that_shows_is_counted(before: bytes, first: bytes, between: bytes) -> None:
    """The second one makes the picture light, where decoders come to it; nothing before it may hide it from us."""
    data = DARK[0][:2] + before + DARK[0][2:] + first + between + UNRESTARTED + TABLES + LIGHT[2] + END
    shown = decode(data, 64).pixels.mean() > 200
    assert jpeg.scans(jpeg.without_metadata(data)) == (2 if shown else 1)
    assert shown == (not between.startswith((END, b"\xff\xfe\0\x0c")))


PLANES = {258: [8] * 3, 262: [2], 277: [3], 284: [2]}


@pytest.mark.parametrize(
    ("more", "strips", "planes", "rows"),
    [
        ({}, 1, 1, 48),
        ({274: [6]}, 1, 1, 48),
        ({278: [48]}, 1, 1, 48),
        ({257: [16]}, 2, 1, 16 + 40),
        (PLANES, 1, 3, 3 * 48),
        ({257: [16], **PLANES}, 2, 3, 3 * (8 + 48)),
        ({257: [3], 278: [1]}, 3, 1, 2 * 8 + 48),
    ],
    ids=["a strip", "turned", "as long as its strip", "two strips", "planes", "planes of two strips", "of a row each"],
)
def test_the_rows_of_a_tiffs_jpegs_are_counted(more: dict[int, list[int]], strips: int, planes: int, rows: int) -> None:
    """Beyond the picture too: in the last strip of a plane, and in blocks of which a strip has a row."""
    height = min(8, *more.get(278, [8]))
    sound, longer = (saved(Image.new("L", (64, rows)), "JPEG") for rows in (height, 48))
    jpegs = [*[sound] * (strips - 1), longer] * planes
    lengths = [*map(len, jpegs)]
    offsets = [8 + sum(lengths[:number]) for number in range(len(jpegs))]
    entries = {256: [64], 257: [8], 259: [7], 273: offsets, 278: [8], 279: lengths} | more
    work = Work()
    decode(tiff(8, 1, b"".join(jpegs), entries), 64, work)
    assert work.pixels == 64 * rows


def test_the_planes_of_a_tiffs_jpeg_tiles_are_counted() -> None:
    one = saved(Image.new("L", (64, 64)), "JPEG")
    tiles = {322: [64], 323: [64], 324: [8 + number * len(one) for number in range(3)], 325: [len(one)] * 3}
    entries = {256: [64], 257: [64], 259: [7], 273: [], 278: [], 279: []} | PLANES | tiles
    work = Work()
    decode(tiff(8, 1, 3 * one, entries), 64, work)
    assert work.pixels == 3 * 64 * 64


@pytest.mark.parametrize("entry", [{278: b"abc"}, {278: []}, {273: b"abc"}, {277: b"a"}, {273: [60_000]}, {273: [0]}])
def test_a_tiff_of_a_jpeg_without_sense_is_read_or_refused(entry: dict[int, Any]) -> None:
    data = saved(Image.new("L", (64, 8)), "JPEG")
    entries = {256: [64], 257: [8], 259: [7], 278: [8], 279: [len(data)]} | entry
    with contextlib.suppress(UndecodableImage):
        assert decode(tiff(8, 1, data, entries), 64).width == 64


def test_a_gif_of_too_many_extensions_is_refused() -> None:
    plain = saved(PICTURE.convert("P"), "GIF")
    first = 13 + (3 << (plain[10] & 7) + 1)  # behind the screen and its palette
    with pytest.raises(UndecodableImage, match="more than 10,000 extensions"):
        gif.without_metadata(plain[:first] + b"!\xfe\0" * 10_001 + plain[first:])


def test_a_jpegs_scans_are_left_alone() -> None:
    scans = PLAIN[PLAIN.index(b"\xff\xda") :] + segment(0xFE, b"behind the pixels")
    assert jpeg.without_metadata(PLAIN[: PLAIN.index(b"\xff\xda")] + scans).endswith(scans)


@pytest.mark.parametrize(
    "data",
    [
        saved(PICTURE, "TIFF", description="a text", exif=exif(1)),
        saved(PICTURE, "TIFF", description="a text", compression="tiff_lzw", big_tiff=True),
        saved(Image.frombytes("I;16B", (4, 4), bytes(range(32))), "TIFF", description="a text"),
    ],
    ids=["little-endian", "BigTIFF", "big-endian"],
)
def test_of_a_tiffs_entries_those_of_the_pixels_are_kept(data: bytes) -> None:
    found = opened(cleaned_tiff.without_metadata(data))
    assert set(opened(data).tag_v2) - set(found.tag_v2) == {ExifTags.Base.ImageDescription}
    assert (np.array(found) == np.array(opened(data))).all()


def test_a_tiffs_other_pages_and_directories_are_dropped() -> None:
    sub = struct.pack("<HHHLL", 1, 33434, 5, 1, 0) + bytes(4)
    data = tiff(8, 1, bytes(16) + sub, {34665: [24], 282: [1]})
    assert opened(data).getexif().get_ifd(34665)
    assert not opened(cleaned_tiff.without_metadata(data)).getexif().get_ifd(34665)
    pages = saved(PICTURE, "TIFF", save_all=True, append_images=[PICTURE, PICTURE])
    assert (opened(pages).n_frames, opened(cleaned_tiff.without_metadata(pages)).n_frames) == (3, 1)


def test_xmp_turns_no_picture() -> None:
    """Browsers do not read it, and would draw maps on another picture than the one that was explained."""
    xmp = XMP.partition(b"\0")[2] % 6
    assert (decode(tiff(8, 1, bytes(range(16)), {700: XMP % 6}), 4).pixels[..., 0].ravel() == range(16)).all()
    assert (decode(with_segments(segment(0xE1, XMP % 6)), 64).pixels == np.array(opened(PLAIN))).all()
    assert (decode(saved(PICTURE, "WEBP", lossless=True, xmp=xmp), 64).pixels == PICTURE).all()


def tiff_of_counts(order: str, kind: str, counts: list[int], tag: int, big: bool = False) -> bytes:
    """A TIFF whose directory has the lengths of strips alone, of SHORT, LONG or LONG8, in the entry where they fit."""
    told = struct.pack(f"{order}{len(counts)}{kind}", *counts)
    number, offset = "QQ" if big else "HL"
    entry = struct.pack(f"{order}HH{offset}", tag, {"H": 3, "L": 4, "Q": 16}[kind], len(counts))
    start, size = (16, 8) if big else (8, 4)
    behind = start + struct.calcsize(f"={number}{offset}") + len(entry) + size
    field = told.ljust(size, b"\0") if len(told) <= size else struct.pack(order + offset, behind)
    magic = {"<": b"II*\0", ">": b"MM\0*"}[order] if not big else b"II+\0\x08\0\0\0"
    head = magic + struct.pack(order + offset, start) + struct.pack(order + number, 1)
    return head + entry + field + bytes(size) + (b"" if len(told) <= size else told)


@pytest.mark.parametrize("tag", [ExifTags.Base.StripByteCounts, ExifTags.Base.TileByteCounts])
@pytest.mark.parametrize(
    ("order", "kind", "count", "big"),
    [("<", "H", 2, False), (">", "H", 2, False), ("<", "H", 3, False), ("<", "L", 2, False), (">", "L", 5, False),
     ("<", "H", 4, True), ("<", "L", 2, True), ("<", "Q", 2, True), ("<", "H", 5, True)],
)  # fmt: skip
def test_a_tiffs_strips_have_no_more_bytes_than_the_file(
    order: str, kind: str, count: int, big: bool, tag: int
) -> None:
    """What several strips share would be read for each of them."""
    size = len(tiff_of_counts(order, kind, [0] * count, tag, big))
    whole = tiff_of_counts(order, kind, [*[1] * (count - 1), size - count + 1], tag, big)
    assert cleaned_tiff.without_metadata(whole) == whole
    more = tiff_of_counts(order, kind, [*[1] * (count - 1), size - count + 2], tag, big)
    with pytest.raises(UndecodableImage, match="strips or tiles have more bytes than the file"):
        cleaned_tiff.without_metadata(more)


def test_lengths_of_a_tiffs_strips_that_cannot_be_read_are_refused() -> None:
    sound = tiff_of_counts("<", "L", [1, 2, 3], ExifTags.Base.StripByteCounts)
    with pytest.raises(UndecodableImage, match="directory cannot be read"):
        cleaned_tiff.without_metadata(sound[:-1])
    with pytest.raises(UndecodableImage, match="lengths of the TIFF picture's strips or tiles cannot be read"):
        cleaned_tiff.without_metadata(sound.replace(struct.pack("<HHL", 279, 4, 3), struct.pack("<HHL", 279, 11, 3)))


def test_a_tiffs_lengths_are_those_that_are_read_once_others_are_dropped() -> None:
    """Here they lie in an entry in whose place another comes."""
    dropped, lengths = struct.pack("<HHLL", 1, 0, 1, 1), struct.pack("<HHLL", 279, 4, 3, 10)
    data = b"II*\0" + struct.pack("<LH", 8, 2) + dropped + lengths + bytes(4)
    with pytest.raises(UndecodableImage, match="more bytes than the file"):
        cleaned_tiff.without_metadata(data)


def test_of_a_tiff_that_says_a_thing_twice_the_first_counts() -> None:
    data = tiff(8, 1, bytes(16), {323: [4], 322: [4]})
    at = data.index(struct.pack("<HHL", 323, 3, 1))
    twice = data[:at] + struct.pack("<HHLL", 322, 4, 1, 2**20) + data[at + 12 :]
    found = opened(cleaned_tiff.without_metadata(twice))
    assert found.tag_v2[322] == 4
    assert twice.count(struct.pack("<HHL", 322, 4, 1)) == 1


def test_a_gif_is_transparent_where_its_last_control_says() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    data = saved(image, "GIF", transparency=1, comment=b"a comment")
    at = data.index(b"!\xf9")
    earlier = b"!\xf9\4\1\0\0\0\0" + b"!\xfe\2ab\1c\0" + b"!\1\0"
    found = gif.without_metadata(data[:at] + earlier + data[at:])
    assert b"ab" not in found
    assert b"a comment" not in found
    assert (decode(data[:at] + earlier + data[at:], 8).pixels == 255).all()
    assert (decode(data.replace(b"!\xf9\4\1", b"!\xf9\4\0"), 8).pixels == [0, 0, 255]).all()


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8", b"no picture", bytes(99)], ids=len)
def test_what_is_no_such_file_stays_as_it_is(data: bytes) -> None:
    for module in (gif, jpeg, cleaned_tiff):
        assert module.without_metadata(data) == data
