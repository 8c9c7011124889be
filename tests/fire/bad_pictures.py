"""Pictures that are damaged, too large, or none at all."""

import gzip
import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from ..samples import png_chunk, saved, tiff
from .cases import Case, body
from .odd_pictures import PICTURE, rle_bmp

SOI = b"\xff\xd8"
PNG = b"\x89PNG\r\n\x1a\n"
MOST = 20 * 2**20
SOUND = {
    "PNG": saved(PICTURE, "PNG"),
    "JPEG": saved(PICTURE, "JPEG"),
    "progressive JPEG": saved(PICTURE, "JPEG", progressive=True),
    "WEBP": saved(PICTURE, "WEBP"),
    "lossless WEBP": saved(PICTURE, "WEBP", lossless=True),
    "GIF": saved(PICTURE, "GIF"),
    "BMP": saved(PICTURE, "BMP"),
    "TIFF": saved(PICTURE, "TIFF"),
    "TIFF lzw": saved(PICTURE, "TIFF", compression="tiff_lzw"),
}
NO_PICTURES = {
    "one zero": b"\0",
    "a megabyte of zeros": bytes(2**20),
    "a megabyte of chance": np.random.default_rng(0).bytes(2**20),
    "text": b"no picture at all",
    "SVG": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>',
    "SVG of a billion laughs": b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><svg>&b;&b;</svg>',
    "PDF": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF",
    "HTML": b"<!doctype html><img src=http://169.254.169.254/latest/meta-data>",
    "XML with an external entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    "a URL": b"http://169.254.169.254/latest/meta-data/",
    "a file URL": b"file:///etc/passwd",
    "a path": b"../../../../etc/passwd",
    "a data URL": b"data:image/png;base64,iVBORw0KGgo=",
    "a pickle": pickle.dumps({"weights": [1.0]}),
    "an npz": b"PK\x03\x04" + bytes(40),
    "an npy": b"\x93NUMPY\x01\x00v\x00" + bytes(118),
    "a safetensors file": struct.pack("<Q", 2) + b"{}",
    "gzip": gzip.compress(bytes(10**6)),
    "ELF": b"\x7fELF\x02\x01\x01" + bytes(60),
    "UTF-8 that is none": b"\xff",
    "WAV": b"RIFF\x24\0\0\0WAVEfmt " + bytes(60),
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(60),
    "MP4": b"\0\0\0\x18ftypmp42" + bytes(40),
    "AVIF": b"\0\0\0\x1cftypavif" + bytes(40),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
    "PPM": b"P6 2 2 255\n" + bytes(12),
    "ICO": b"\0\0\1\0\1\0" + bytes(30),
    "PSD": b"8BPS\0\1" + bytes(30),
    "DDS": b"DDS " + bytes(124),
    "XBM": b"#define a_width 8\n#define a_height 8\nstatic char a_bits[] = {0};",
    "FITS": b"SIMPLE  =                    T" + bytes(2850),
    "a JSON list": b"[1, 2, 3]",
    "a JSON number": b"1e999",
    "control characters": bytes(range(32)),
    "half a signature": b"\x89PNG\r\n",
    "RIFF that is no WebP": b"RIFF\x04\0\0\0WAVE" + bytes(30),
    **{f"a sound {name}": saved(Image.new("RGB", (9, 9)), name) for name in ("ICO", "PPM", "TGA", "PCX")},
}  # fmt: skip


def _png(width: int, height: int, *chunks: bytes, bits: int = 8, kind: int = 2) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    return PNG + header + b"".join(chunks)


def _zip_of_death() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(f"{number}.png", bytes(2**20))
    return buffer.getvalue()


def _bombs() -> Iterator[Case]:
    idat, end = png_chunk(b"IDAT", zlib.compress(bytes(1000))), png_chunk(b"IEND", b"")
    for width, height in (
        (60_000, 60_000), (2**31 - 1, 2**31 - 1), (50_000_001, 1), (7072, 7072), (8000, 6251), (2**31 - 1, 1),
    ):  # fmt: skip
        yield body(f"PNG header of {width} x {height}", _png(width, height, idat, end), 413, "too_large")
    yield body("PNG of one bit, 60,000 x 60,000", _png(60_000, 60_000, idat, end, bits=1, kind=0), 413, "too_large")
    gif = bytearray(SOUND["GIF"])
    gif[6:10] = struct.pack("<HH", 65_535, 65_535)
    yield body("GIF header of 65,535 x 65,535", bytes(gif), 413, "too_large")
    bmp = bytearray(SOUND["BMP"])
    bmp[18:26] = struct.pack("<ii", 60_000, 60_000)
    yield body("BMP header of 60,000 x 60,000", bytes(bmp), 413, "too_large")
    for side in (65_500, 7072):
        jpeg = bytearray(SOUND["JPEG"])
        at = jpeg.index(b"\xff\xc0") + 5
        jpeg[at : at + 4] = struct.pack(">HH", side, side)
        yield body(f"JPEG header of {side:,} x {side:,}", bytes(jpeg), 413, "too_large")
    yield body("WEBP header of 16,383 x 16,383", _webp(16_383), 413, "too_large")
    yield body("TIFF of 64 megapixels in a few bytes", _tiff_of_64_megapixels, 413, "too_large")
    tile = tiff(8, 1, zlib.compress(bytes(1000)), {256: [1], 257: [1], 259: [8], 322: [16_384], 323: [16_384]})
    told = "the picture has tiles of 16384 x 16384 pixels; at most 50 megapixels are read: send a smaller one"
    yield body("TIFF of one pixel in a tile of 268 megapixels", tile, 413, "too_large", says=told)
    tiles = {256: [480], 257: [1], 259: [8], 322: [16], 323: [200_000], 273: [8] * 30, 279: [1] * 30}
    told = "the picture has strips or tiles of 96,000,000 pixels together"
    yield body(
        "TIFF of 480 pixels in tiles of 96 megapixels", tiff(8, 1, bytes(30), tiles), 413, "too_large", says=told
    )
    again = {256: [400], 257: [400], 273: [8] * 1000, 278: [399]}
    told = "the picture has strips or tiles of 80,000,000 pixels together"
    yield body("TIFF whose strips are told 500 times", tiff(8, 1, bytes(160_000), again), 413, "too_large", says=told)
    told = "the picture has strips or tiles of 96,000,000 pixels together"
    yield body("TIFF of a JPEG that is higher by far", _tiff_of_a_high_jpeg, 413, "too_large", says=told)
    overlap = tiff(8, 1, zlib.compress(bytes(4)), {259: [8], 266: [1], 273: [8] * 4, 278: [1], 279: [100] * 4})
    told = "the TIFF picture's strips or tiles have more bytes than the file"
    yield body("TIFF whose strips are the same bytes", overlap, 422, "undecodable_image", says=told)
    told = "a run-length encoded BMP is read up to 2 megapixels and 2 MB"
    for name, runs in {
        "5 megapixels": rle_bmp(2000, 2500, b"\1\1\0\0" * 2500),
        "2 MB for a pixel": rle_bmp(1, 1, bytes(2_000_000)),
    }.items():
        yield body(f"run-length encoded BMP of {name}", runs, 413, "too_large", says=told)
    yield body("PNG of 50 megapixels that are not there", _png(8000, 6250, idat, end), 422, "undecodable_image")
    yield body("zip of death", _zip_of_death(), 415, "unsupported_image")
    for length in (2**32 - 1, 2**31 - 1, 2**31):
        chunk = struct.pack(">I", length) + b"IDAT" + bytes(100)
        yield body(f"PNG chunk of {length} bytes", _png(9, 9, chunk), 422, "undecodable_image")
    text = struct.pack(">I", 2**32 - 1) + b"tEXtx"
    yield body("PNG whose text has 4 GB", _png(9, 9, text, idat, end), 422, "undecodable_image")
    many = idat + png_chunk(b"tEXt", b"") * 100_000
    yield body("PNG of 100,000 texts", _png(9, 9, many, end), 422, "undecodable_image", says="the PNG picture has more")
    many = b"\xff\xe1\0\x13Exif\0\0abcdefghijk" * 200_000
    hurt = SOUND["JPEG"][:2] + many + SOUND["JPEG"][2:]
    yield body("JPEG of 200,000 EXIFs", hurt, 422, "undecodable_image", says="the JPEG picture has more")
    hurt = SOUND["JPEG"][:2] + b"\xff\xdb\0\2" * 10_000 + SOUND["JPEG"][2:]
    yield body("JPEG of 10,000 tables", hurt, 422, "undecodable_image", says="the JPEG picture has more")
    strips = tiff(8, 1, bytes(16), {273: [8] * 100_001})
    yield body("TIFF of 100,001 strips", strips, 422, "undecodable_image", says="the TIFF picture has more")
    yield body("PNG without data", _png(9, 9, end), 422, "undecodable_image")
    yield body("PNG of size 0", _png(0, 0, idat, end), 422, "undecodable_image")
    for name, made in {
        "endless scans": _endless_scans,
        "endless scans behind an end": lambda: SOI + b"\xff\xd9" + _endless_scans().removeprefix(SOI),
        "endless scans behind a marker without a length": lambda: _endless_scans(b"\xff\5\xff\xff"),
    }.items():
        yield body(f"JPEG of {name}", made, 413, "too_large", says="the JPEG picture has too many scans")
    for name, start in {"PNG": PNG, "JPEG": b"\xff\xd8\xff", "text": b"text", "TIFF": b"II*\0"}.items():
        yield body(f"21 MiB that begin as {name}", partial(_filled, start, 21 * 2**20), 413, "too_large")
    told = "the picture has 20,971,521 bytes; at most 20,971,520 (20 MiB) are read: send a smaller one"
    yield body("a byte over 20 MiB", partial(_filled, PNG, MOST + 1), 413, "too_large", says=told)
    yield body("20 MiB of zeros after a PNG's signature", partial(_filled, PNG, MOST), 422, "undecodable_image")


def _filled(start: bytes, size: int) -> bytes:
    return start + bytes(size - len(start))


def _webp(side: int) -> bytes:
    told = (side - 1).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + told + told
    return b"RIFF" + struct.pack("<I", 4 + len(extended)) + b"WEBP" + extended


def _tiff_of_64_megapixels() -> bytes:
    return saved(Image.new("1", (8000, 8000)), "TIFF", compression="group4")


def _tiff_of_a_high_jpeg() -> bytes:
    """A row, of which libtiff decodes all that the JPEG has below it."""
    high = bytearray(saved(Image.new("L", (6000, 8)), "JPEG", progressive=True))
    at = high.index(b"\xff\xc2") + 5
    high[at : at + 2] = struct.pack(">H", 16_000)
    return tiff(8, 1, bytes(high), {256: [6000], 257: [1], 259: [7], 279: [len(high)]})


def _endless_scans(within: bytes = b"") -> bytes:
    """A scan again and again; `within` stands in one whose restarts decoders look for."""
    scans = saved(Image.new("L", (2000, 2000)), "JPEG", progressive=True)
    scan = scans[scans.rindex(b"\xff\xda") : -2]
    first = b"\xff\xdd\0\4\3\xe8" + scan[:10] + within + b"\xff\xdd\0\4\0\0" if within else b""
    return scans[:-2] + first + scan * 1300 + b"\xff\xd9"


def _damaged() -> Iterator[Case]:
    for name, sound in SOUND.items():
        for cut in (13, 16, len(sound) // 10, len(sound) // 3, len(sound) // 2, len(sound) - 200):
            yield body(f"{name} cut after {cut}", sound[:cut], 422, "undecodable_image")
    for name in ("PNG", "TIFF lzw"):  # the others have no checksum: such a file is another picture
        for share in (0.3, 0.6, 0.9):
            hurt = bytearray(SOUND[name])
            at = int(share * len(hurt))
            hurt[at : at + 64] = bytes(64)
            yield body(f"{name} with zeros at {share}", bytes(hurt), 422, "undecodable_image")
    chance = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    lossless: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {"compression": "tiff_lzw"}}
    for name, options in lossless.items():
        hurt = bytearray(saved(chance, name, **options))
        middle = len(hurt) // 2
        hurt[middle : middle + 200] = b"\xff" * 200
        yield body(f"{name} with ones in its middle", bytes(hurt), 422, "undecodable_image")
    for name in sorted(SOUND.keys() - {"GIF"}):  # whose header may well have ones
        hurt = bytearray(SOUND[name])
        hurt[12:40] = b"\xff" * 28
        yield body(f"{name} with a header of ones", bytes(hurt), 422, "undecodable_image")
    tile, says = tiff(8, 1, bytes(16), {322: b"\x10", 323: b"\x10"}), "the size of the TIFF picture's tiles"
    yield body("TIFF whose tiles' sides are bytes", tile, 422, "undecodable_image", says=says)
    tile = tiff(8, 1, bytes(16), {322: [0], 323: [16]})
    yield body("TIFF whose tiles have no width", tile, 422, "undecodable_image", says=says)
    large, says = b"MM\0+\0\x08\0\0" + bytes(100), "a BigTIFF whose bytes"
    yield body("BigTIFF, big-endian", large, 422, "undecodable_image", says=says)
    yield body("32 bits a channel", saved(Image.new("I", (9, 9)), "TIFF"), 415, "unsupported_image")
    yield body("floating point", saved(Image.new("F", (9, 9)), "TIFF"), 415, "unsupported_image")
    yield body("12 bits a channel", tiff(12, 1, bytes(24)), 415, "unsupported_image")


CASES = (
    body("empty", b"", 400, "malformed_body"),
    *(body(name, content, 415, "unsupported_image") for name, content in NO_PICTURES.items()),
    *_bombs(),
    *_damaged(),
)
