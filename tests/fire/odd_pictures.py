"""Pictures that are unusual but sound: each is predicted, most of them exactly as the plain one is."""

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin, TiffTags

from ..samples import noise, png_chunk, saved
from .cases import Case, good

PIXELS = noise()
PICTURE = Image.fromarray(PIXELS)
# What undoes each EXIF orientation, so that all of them are the same upright picture.
TURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def later(image: Image.Image, file_format: str, **options: Any) -> Callable[[], bytes]:
    """The file's bytes, made when they are asked for."""
    return partial(saved, image, file_format, **options)


def rle_bmp(width: int, height: int, runs: bytes) -> bytes:
    """A BMP of 256 greys, run-length encoded."""
    palette = b"".join(bytes([grey, grey, grey, 0]) for grey in range(256))
    start = 14 + 40 + len(palette)
    file = struct.pack("<2sLHHL", b"BM", start + len(runs), 0, 0, start)
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return file + header + palette + runs


def _lossless() -> Iterator[Case]:
    again = [Image.new("RGB", PICTURE.size, color) for color in ("red", "blue")]
    ways: dict[str, dict[str, Any]] = {
        "PNG": {}, "PNG best": {"compress_level": 9}, "BMP": {}, "TIFF": {}, "TIFF lzw": {"compression": "tiff_lzw"},
        "TIFF deflate": {"compression": "tiff_adobe_deflate"}, "TIFF packbits": {"compression": "packbits"},
        "WEBP": {"lossless": True}, "animated WEBP": {"lossless": True, "save_all": True, "append_images": again},
        "animated PNG": {"save_all": True, "append_images": again, "default_image": False},
        "TIFF of three pages": {"save_all": True, "append_images": again},
    }  # fmt: skip
    for file_format, options in ways.items():
        name = next(part for part in file_format.split() if part.isupper())
        yield good(file_format, later(PICTURE, name, **options), alike=True)
    for mode in ("RGBA", "RGBX"):
        for file_format in ("PNG", "TIFF") if mode == "RGBA" else ("TIFF",):
            yield good(f"{mode} {file_format}", later(PICTURE.convert(mode), file_format), alike=True)
    for orientation, turned in TURNED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = PICTURE if turned is None else PICTURE.transpose(turned)
        for file_format in ("PNG", "WEBP", "TIFF"):
            options = {"lossless": True} if file_format == "WEBP" else {}
            yield good(f"EXIF {orientation} {file_format}", later(image, file_format, exif=exif, **options), alike=True)
        yield good(f"EXIF {orientation} JPEG", later(image, "JPEG", exif=exif))
    transparent = Image.fromarray(np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)]))
    yield good("fully opaque PNG", later(transparent, "PNG"), alike=True)
    yield good("PNG with rubbish after it", lambda: saved(PICTURE, "PNG") + b"\0rubbish" * 1000, alike=True)
    yield good("16 bits RGB PNG", partial(_png16, PIXELS), alike=True)


def _png16(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    height, width, _ = pixels.shape
    wide = (pixels.astype(">u2") * 257).reshape(height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def _metadata() -> Iterator[Case]:
    """Texts, profiles and the like, long or damaged: none of them is pixels."""
    turned = b"XML:com.adobe.xmp\0\1\0\0\0"
    for name, kind, start, mebibytes in (
        ("zTXt", b"zTXt", b"a\0\0", 64),
        ("iTXt", b"iTXt", b"x\0\1\0\0\0", 10),
        ("iCCP", b"iCCP", b"x\0\0", 10),
        ("XMP", b"iTXt", turned, 10),
    ):
        yield good(f"PNG whose {name} unfolds to {mebibytes} MiB", partial(_unfolding, kind, start, mebibytes), True)
    profile = png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**20)))
    xmp = png_chunk(b"iTXt", turned + zlib.compress(bytes(2**20 - 1)))
    damaged = png_chunk(b"tEXt", b"a\0b")[:-1] + b"?"
    for name, chunks in {
        "100 profiles": profile * 100,
        "100 XMPs": xmp * 100,
        "20,000 texts": png_chunk(b"tEXt", b"a\0b") * 20_000,
        "a text of 4 MiB": png_chunk(b"tEXt", b"a\0" + bytes(2**22)),
        "a damaged text": damaged,
        "a damaged EXIF": png_chunk(b"eXIf", b"MM\0*")[:-1] + b"?",
        "an XMP that does not unfold": png_chunk(b"iTXt", turned + b"no deflate"),
        "a text of an unknown compression": png_chunk(b"zTXt", b"Raw profile type exif\0\7"),
        "a gamma of two bytes": png_chunk(b"gAMA", b"\0\0"),
        "an animation of no frames": png_chunk(b"acTL", bytes(8)),
    }.items():
        yield good(f"PNG with {name}", partial(_with, chunks), alike=True)
    huge = Image.Exif()
    huge[0x0112], huge[0x010F] = 6, "m" * 2**20
    for name in ("PNG", "WEBP"):
        options = {"lossless": True} if name == "WEBP" else {}
        yield good(f"{name} with an EXIF of a mebibyte", later(PICTURE, name, exif=huge, **options), alike=True)
    for name, entries in {
        "an XMP of numbers": {700: [1, 2, 3]},
        "6,000 entries": {key: [1] for key in range(900, 6900)},
    }.items():
        yield good(f"TIFF with {name}", later(PICTURE, "TIFF", tiffinfo=_entries(entries)), alike=True)
    yield good("BigTIFF", later(PICTURE, "TIFF", big_tiff=True, compression="tiff_lzw"), alike=True)
    yield good("JPEG with 9,000 comments", lambda: _behind(2, b"\xff\xfe\0\5abc" * 9000, saved(PICTURE, "JPEG")))
    yield good("JPEG with rubbish in its header", lambda: _behind(2, b"\xff" * 99 + bytes(99), saved(PICTURE, "JPEG")))
    comment = b"!\xfe" + b"\2ab" * 300_000 + b"\0"
    yield good("GIF with a comment of 300,000 blocks", lambda: _behind(13 + 768, comment, saved(PICTURE, "GIF")))


def _unfolding(kind: bytes, start: bytes, mebibytes: int) -> bytes:
    return _with(png_chunk(kind, start + zlib.compress(bytes(mebibytes * 2**20))))


def _with(chunks: bytes) -> bytes:
    return _behind(33, chunks, saved(PICTURE, "PNG"))  # the signature and the header


def _behind(at: int, more: bytes, file: bytes) -> bytes:
    return file[:at] + more + file[at:]


def _entries(values: dict[int, list[int]]) -> TiffImagePlugin.ImageFileDirectory_v2:
    entries = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in values.items():
        entries.tagtype[tag] = TiffTags.SHORT
        entries[tag] = value
    return entries


def _modes() -> Iterator[Case]:
    grey, palette = PICTURE.convert("L"), PICTURE.quantize(40)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    for file_format in ("JPEG", "TIFF"):
        yield good(f"CMYK {file_format}", later(PICTURE.convert("CMYK"), file_format))
        yield good(f"YCbCr {file_format}", later(PICTURE.convert("YCbCr"), file_format))
    for file_format in ("PNG", "TIFF"):
        yield good(f"16 bits grey {file_format}", later(deep, file_format))
    for file_format in ("PNG", "BMP", "TIFF", "GIF", "JPEG", "WEBP"):
        yield good(f"grey {file_format}", later(grey, file_format))
    for file_format in ("PNG", "GIF", "TIFF", "BMP"):
        yield good(f"palette {file_format}", later(palette, file_format))
        yield good(f"one bit {file_format}", later(PICTURE.convert("1"), file_format))
    for transparency in (0, 7, bytes(range(40))):
        yield good(
            f"palette with transparency {transparency!r:.12}",
            later(palette, "PNG", transparency=transparency),
        )
    yield good("run-length encoded BMP", rle_bmp(64, 64, (b"\x28\1\x18\xf0\0\0" * 64) + b"\0\1"))
    yield good("GIF with transparency", later(palette, "GIF", transparency=3))
    yield good("grey with alpha", later(PICTURE.convert("LA"), "PNG"))
    yield good("RGB with one transparent colour", later(PICTURE, "PNG", transparency=(0, 0, 0)))
    for quality in (1, 100):
        yield good(f"JPEG of quality {quality}", later(PICTURE, "JPEG", quality=quality))
    yield good("progressive JPEG", later(PICTURE, "JPEG", progressive=True))
    yield good("JPEG without subsampling", later(PICTURE, "JPEG", subsampling=0))
    yield good("JPEG with restarts", later(PICTURE, "JPEG", restart_marker_rows=1))
    yield good("JPEG with a second one (MPO)", later(PICTURE, "MPO", save_all=True, append_images=[PICTURE]))
    yield good("animated GIF", later(PICTURE, "GIF", save_all=True, append_images=[Image.new("RGB", (9, 9))]))


def _sizes() -> Iterator[Case]:
    for file_format in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        yield good(f"1 x 1 {file_format}", later(Image.new("RGB", (1, 1), "red"), file_format))
    sizes = [(1, 100_000), (100_000, 1), (2, 3), (3, 40_000), (40_000, 3), (223, 225), (1, 2), (5000, 1), (225, 224)]
    for width, height in sizes:
        yield good(f"{width} x {height}", later(Image.new("L", (width, height), 77), "PNG"))
    yield good("49 megapixels of one bit", lambda: saved(Image.new("1", (7000, 7000)), "PNG"))


CASES = (*_lossless(), *_metadata(), *_modes(), *_sizes())
