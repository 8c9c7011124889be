"""Every kind of picture the contract lists, those it refuses, and what hostile bytes may cost."""

import contextlib
import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from tests.needs import hardware
from tests.samples import encoded, noise, tiff
from zfnet_explainer.errors import RequestError
from zfnet_explainer.pictures.decode import MAX_BYTES, decode
from zfnet_explainer.pictures.view import Crop

Pixels = NDArray[np.uint8]
SIZE = 224
PICTURE = noise()
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True}, "BMP": {}, "TIFF": {}}


def file_of(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def pixels_of(data: bytes, size: int = SIZE) -> Pixels:
    found = decode(data, size).pixels
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    return found


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes = b"", extra: bytes = b"", bits: int = 8, colour: int = 2) -> bytes:
    """A PNG with this header, chunks before the pixels, and uncompressed rows `data`."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + chunk(b"IEND", b"")


def over_white(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    return (pixels * (alpha / 255.0) + 255 * (1 - alpha / 255.0)).round()


def assert_close(found: Pixels, wanted: NDArray[Any], most: float) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found.astype(float) - wanted).max() <= most


# What is read


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_a_picture_of_the_nets_size_is_used_pixel_for_pixel(file_format: str) -> None:
    found = decode(file_of(Image.fromarray(PICTURE), file_format, **LOSSLESS[file_format]), SIZE)
    assert (found.pixels == PICTURE).all()
    assert (found.width, found.height, found.crop) == (SIZE, SIZE, Crop(0, 0, SIZE, SIZE))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff(compression: str) -> None:
    assert (pixels_of(file_of(Image.fromarray(PICTURE), "TIFF", compression=compression)) == PICTURE).all()


@pytest.mark.parametrize("compression", [1, 8], ids=["plain", "deflate"])
def test_a_tiff_may_be_in_tiles_that_reach_out_of_it(compression: int) -> None:
    padded = noise(32, 32)[..., 0]
    tiles = [padded[top : top + 16, left : left + 16].tobytes() for top in (0, 16) for left in (0, 16)]
    stored = tiles if compression == 1 else [zlib.compress(tile) for tile in tiles]
    lengths = [len(tile) for tile in stored]
    offsets = [8 + sum(lengths[:number]) for number in range(4)]
    size: dict[int, list[int]] = {256: [20], 257: [20], 322: [16], 323: [16], 273: [], 278: [], 279: []}
    data = tiff(8, 1, b"".join(stored), {**size, 259: [compression], 324: offsets, 325: lengths})
    assert (pixels_of(data, 20) == padded[:20, :20, None]).all()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}], ids=["base", "progressive", "444"])
def test_jpeg_is_close(options: dict[str, Any]) -> None:
    assert_close(pixels_of(file_of(Image.fromarray(PICTURE), "JPEG", quality=95, **options)), PICTURE, 12)


def test_a_jpeg_with_a_second_picture_is_its_first() -> None:
    first, second = Image.new("RGB", (SIZE, SIZE), "red"), Image.new("RGB", (SIZE, SIZE), "blue")
    assert_close(pixels_of(file_of(first, "MPO", save_all=True, append_images=[second])), np.array(first), 3)


def test_grey() -> None:
    grey = PICTURE[..., 0]
    assert (pixels_of(encoded(grey)) == grey[..., None]).all()


def test_one_bit() -> None:
    bits = Image.fromarray(PICTURE[..., 0] > 128)
    assert bits.mode == "1"
    for data in (file_of(bits), file_of(bits, "TIFF", compression="group4"), file_of(bits, "BMP")):
        assert (pixels_of(data) == np.where(PICTURE[..., :1] > 128, 255, 0)).all()


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette(file_format: str) -> None:
    palette = Image.fromarray(PICTURE).quantize(64)
    assert (pixels_of(file_of(palette, file_format)) == np.array(palette.convert("RGB"))).all()


def test_a_palettes_transparency_is_white() -> None:
    palette = Image.new("P", (SIZE, SIZE), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(0, (0, 0, 100, SIZE))
    for options in ({"transparency": 0}, {"transparency": bytes([0, 255])}):
        found = pixels_of(file_of(palette, **options))
        assert (found[:, :100] == 255).all()
        assert (found[:, 100:] == [0, 0, 255]).all()


def test_a_half_transparent_palette_entry_lies_over_white() -> None:
    palette = Image.new("P", (SIZE, SIZE))
    palette.putpalette([255, 0, 0])
    assert_close(pixels_of(file_of(palette, transparency=bytes([51]))), np.full_like(PICTURE, [255, 204, 204]), 1)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_rgba_lies_over_white(file_format: str) -> None:
    alpha = noise(seed=5)[..., :1]
    data = file_of(Image.fromarray(np.dstack([PICTURE, alpha])), file_format, **LOSSLESS[file_format])
    assert_close(pixels_of(data), over_white(PICTURE, alpha), 1)


def test_grey_with_alpha_lies_over_white() -> None:
    alpha = noise(seed=5)[..., :1]
    data = file_of(Image.merge("LA", [Image.fromarray(PICTURE[..., 1]), Image.fromarray(alpha[..., 0])]))
    assert_close(pixels_of(data), np.repeat(over_white(PICTURE[..., 1:2], alpha), 3, axis=2), 1)


def test_premultiplied_grey_lies_over_white() -> None:
    assert_close(pixels_of(tiff(8, 2, bytes([50, 100] * 16)), 4), np.full((4, 4, 3), 205), 1)


@pytest.mark.parametrize("bits", [8, 16])
def test_one_transparent_colour_is_white(bits: int) -> None:
    form = ">B" if bits == 8 else ">H"
    clear, solid = (struct.pack(form, value) for value in ((77, 200) if bits == 8 else (77 * 257, 200 * 257)))
    wanted = np.repeat(np.array([[255, 200, 200, 200]] * 4)[..., None], 3, axis=2)
    grey = png(
        4, 4, (b"\0" + clear + solid * 3) * 4, chunk(b"tRNS", struct.pack(">H", *struct.unpack(form, clear))), bits, 0
    )
    assert (pixels_of(grey, 4) == wanted).all()
    colour = png(
        4,
        4,
        (b"\0" + clear * 3 + solid * 9) * 4,
        chunk(b"tRNS", struct.pack(">HHH", *struct.unpack(form, clear) * 3)),
        bits,
        2,
    )
    assert (pixels_of(colour, 4) == wanted).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_transparent_grey_of_few_bits_is_white(bits: int) -> None:
    """0 is transparent, then 1: black where it is not the transparent one, else the grey of 1."""
    row = b"\0" + bytes([0b01 << (8 - 2 * bits)])  # a 0 and a 1
    for key, wanted in ((0, [255, 255 // (2**bits - 1)]), (1, [0, 255])):
        data = png(2, 2, row * 2, chunk(b"tRNS", struct.pack(">H", key)), bits, 0)
        assert pixels_of(data, 2)[0, :, 0].tolist() == wanted


def test_a_transparent_deep_colour_whose_bytes_differ_is_white() -> None:
    clear, solid = struct.pack(">3H", 0x1205, 0x3407, 0x5609), struct.pack(">3H", 0x0512, 0x0734, 0x0956)
    data = png(2, 2, (b"\0" + clear + solid) * 2, chunk(b"tRNS", clear), 16, 2)
    assert pixels_of(data, 2)[0].tolist() == [[255, 255, 255], [5, 7, 9]]


@pytest.mark.parametrize(
    ("cmyk", "rgb"),
    [((0, 255, 255, 0), (255, 0, 0)), ((0, 0, 0, 255), (0, 0, 0)), ((0, 0, 0, 0), (255, 255, 255))],
    ids=["red", "black", "white"],
)
@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk(file_format: str, cmyk: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    data = file_of(Image.new("CMYK", (SIZE, SIZE), cmyk), file_format)
    assert_close(pixels_of(data), np.full_like(PICTURE, rgb), 4)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_by_257(file_format: str) -> None:
    deep = (np.arange(SIZE * SIZE, dtype=np.uint16) * 13).reshape(SIZE, SIZE)
    deep[0, :3] = [0, 65535, 32768]
    data = file_of(Image.fromarray(deep), file_format)
    assert Image.open(io.BytesIO(data)).mode == "I;16"
    assert (pixels_of(data) == (deep / 257).round().astype(int)[..., None]).all()
    assert pixels_of(data)[0, :3, 0].tolist() == [0, 255, 128]


def test_a_sixteen_bit_tiff_may_say_that_white_is_zero() -> None:
    deep = Image.fromarray(np.array([[7, 0, 40 * 257, 7], [7, 65535, 40 * 257, 7]], np.uint16))
    data = file_of(deep, "TIFF", tiffinfo={262: 0})  # whose centre is cut out
    assert Image.open(io.BytesIO(data)).tag_v2[262] == 0  # type: ignore[attr-defined]
    assert pixels_of(data, 2)[..., 0].tolist() == [[255, 215], [0, 215]]


def test_big_endian_sixteen_bit_tiff() -> None:
    data = file_of(Image.frombytes("I;16B", (4, 4), struct.pack(">H", 180 * 257) * 16), "TIFF")
    assert (pixels_of(data, 4) == 180).all()


def test_sixteen_bit_colour() -> None:
    row = b"\0" + struct.pack(">3H", 65535, 128 * 257, 257) * 4
    assert (pixels_of(png(4, 4, row * 4, bits=16), 4) == [255, 128, 1]).all()


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_is_its_first_frame(file_format: str) -> None:
    frames = [Image.new("RGB", (300, 240), colour) for colour in ("red", "lime", "blue")]
    data = file_of(
        frames[0],
        file_format,
        save_all=True,
        append_images=frames[1:],
        **({"lossless": True} if file_format == "WEBP" else {}),
    )
    assert getattr(Image.open(io.BytesIO(data)), "n_frames", 1) == 3
    assert (pixels_of(data) == [255, 0, 0]).all()


STORED: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, 1),  # a camera held upright: shown after a quarter turn clockwise
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, -1),
}


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_gives_the_same_upright_picture(orientation: int, file_format: str) -> None:
    upright = noise(231, 302, seed=3)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    options = {"quality": 100, "subsampling": 0} if file_format == "JPEG" else LOSSLESS[file_format]
    found = decode(file_of(stored, file_format, exif=exif, **options), SIZE)
    assert (found.width, found.height, found.crop) == (302, 231, Crop(0, 35, 231, 231))
    assert_close(found.pixels, decode(encoded(upright), SIZE).pixels, 4 if file_format == "JPEG" else 0)


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\x09\0"],
    ids=["far-away", "no-tiff", "cut"],
)
def test_damaged_exif_leaves_the_picture_as_it_is(exif: bytes) -> None:
    for file_format in ("PNG", "WEBP"):
        data = file_of(Image.fromarray(PICTURE), file_format, exif=exif, **LOSSLESS[file_format])
        assert (pixels_of(data) == PICTURE).all()


def test_an_orientation_that_does_not_exist_is_ignored() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 9
    assert (pixels_of(file_of(Image.fromarray(PICTURE), exif=exif)) == PICTURE).all()


def text(kind: bytes, name: bytes, value: bytes) -> bytes:
    """A text chunk, compressed where its kind is, or may be."""
    between = {b"tEXt": b"\0", b"zTXt": b"\0\0", b"iTXt": b"\0\1\0\0\0"}[kind]
    return chunk(kind, name + between + (value if kind == b"tEXt" else zlib.compress(value)))


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
SIX = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"  # an EXIF of orientation 6
PROFILE = b"\nexif\n      34\n" + (b"Exif\0\0" + SIX).hex().encode()
TURNED = np.rot90(PICTURE, -1)


@pytest.mark.parametrize(
    ("extra", "turned"),
    [
        (text(b"iTXt", b"XML:com.adobe.xmp", XMP), False),
        (chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), False),
        (text(b"zTXt", b"Raw profile type exif", PROFILE), True),
        (text(b"tEXt", b"Raw profile type exif", PROFILE), True),
        (text(b"zTXt", b"Raw profile type exif", PROFILE + bytes(2**20)), False),
        (
            text(b"zTXt", b"Raw profile type exif", bytes(2**20)) + text(b"tEXt", b"Raw profile type exif", PROFILE),
            False,
        ),
        (text(b"iTXt", b"Comment", XMP), False),
    ],
    ids=["xmp", "plain-xmp", "packed-profile", "profile", "too-long", "second", "comment"],
)
def test_a_png_is_turned_as_its_texts_say(extra: bytes, turned: bool) -> None:
    """Before the pixels and behind them."""
    plain = encoded(PICTURE)
    for at in (33, len(plain) - 12):
        data = plain[:at] + extra + plain[at:]
        assert (pixels_of(data) == (TURNED if turned else PICTURE)).all()


# Crop and size


@pytest.mark.parametrize(
    ("height", "width", "crop"),
    [
        (224, 301, Crop(0, 38, 224, 224)),
        (224, 225, Crop(0, 0, 224, 224)),
        (225, 224, Crop(0, 0, 224, 224)),
        (401, 224, Crop(88, 0, 224, 224)),
        (227, 224, Crop(1, 0, 224, 224)),
    ],
)
def test_the_centre_square_is_cut_whole_pixels(height: int, width: int, crop: Crop) -> None:
    pixels = noise(height, width)
    found = decode(encoded(pixels), SIZE)
    assert found.crop == crop
    assert (found.width, found.height) == (width, height)
    assert (found.pixels == pixels[crop.top : crop.top + 224, crop.left : crop.left + 224]).all()


def test_nothing_outside_the_square_reaches_the_pixels() -> None:
    pixels = np.full((500, 900, 3), 255, np.uint8)
    pixels[:, 200:700] = [10, 20, 30]
    found = decode(encoded(pixels), SIZE)
    assert found.crop == Crop(0, 200, 500, 500)
    assert (found.pixels == [10, 20, 30]).all()


def test_downsizing_is_antialiased() -> None:
    board = (np.indices((896, 896)).sum(0) % 2 * 255).astype(np.uint8)
    assert_close(pixels_of(encoded(board)), np.full((SIZE, SIZE, 3), 127.5), 3)


def test_resizing_is_bicubic() -> None:
    pixels = noise(500, 500)
    wanted = np.array(Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    assert (pixels_of(encoded(pixels)) == wanted).all()


@pytest.mark.parametrize(
    ("height", "width", "crop"),
    [
        (1, 1, Crop(0, 0, 1, 1)),
        (1, 100_000, Crop(0, 49_999, 1, 1)),
        (100_000, 1, Crop(49_999, 0, 1, 1)),
        (2, 3, Crop(0, 0, 2, 2)),
    ],
)
def test_tiny_pictures_are_enlarged(height: int, width: int, crop: Crop) -> None:
    found = decode(encoded(np.full((height, width, 3), [1, 2, 3], np.uint8)), SIZE)
    assert found.crop == crop
    assert (found.pixels == [1, 2, 3]).all()


# What hostile bytes may cost


def test_twenty_mebibytes_are_not_too_large() -> None:
    data = encoded(PICTURE)
    assert (pixels_of(data + bytes(MAX_BYTES - len(data))) == PICTURE).all()


@pytest.mark.parametrize(("owner", "step"), [(ImageFile.ImageFile, "load"), (Image, "open")])
def test_memory_that_runs_out_is_not_the_pictures_fault(
    monkeypatch: pytest.MonkeyPatch, owner: object, step: str
) -> None:
    def out_of_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(owner, step, out_of_memory)
    with pytest.raises(MemoryError):
        decode(file_of(Image.fromarray(PICTURE), "BMP"), SIZE)


# Not getrusage: its peak begins with that of the process that started this one.
PEAK = """
import re, sys
from pathlib import Path
from zfnet_explainer.pictures.decode import decode

for path in sys.argv[1:]:
    assert (decode(Path(path).read_bytes(), 224).pixels == 255).all()
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def mebibytes(folder: Path, plain: bytes, *files: bytes) -> float:
    """What white pictures cost more than the plain one, at most, in a process that does nothing else."""
    paths = []
    for number, data in enumerate((plain, *files)):
        paths.append(folder / str(number))
        paths[-1].write_bytes(data)
    done = subprocess.run([sys.executable, "-c", PEAK, *paths], capture_output=True, text=True, check=True)
    base, *_, peak = map(int, done.stdout.split())
    return (peak - base) / 1024


TURN = chunk(b"eXIf", SIX)


@hardware(Path("/proc/self/status").exists(), "peak memory is read from Linux's /proc")
def test_a_small_file_of_49_megapixels_costs_less_than_half_a_gigabyte(tmp_path: Path) -> None:
    """Grey with alpha and to be turned: picture, turned copy, RGBA and white ground are not in memory all at once."""
    files = []
    for side in (1, 7_000):
        rows = zlib.compressobj(1)
        data = b"".join(rows.compress(bytes(1 + 2 * side)) for _ in range(side)) + rows.flush()
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 4, 0, 0, 0))
        files.append(b"\x89PNG\r\n\x1a\n" + header + TURN + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    assert 49 < mebibytes(tmp_path, *files) < 500, "the picture was decoded, at that price"


@hardware(Path("/proc/self/status").exists(), "peak memory is read from Linux's /proc")
def test_metadata_cost_little_memory(tmp_path: Path) -> None:
    """Of a megapixel: what Pillow would make Python's numbers and strings of."""
    white = Image.new("L", (1000, 1000), 255)
    rationals = struct.pack("<HHHLL", 1, 274, 5, 500_000, 26) + bytes(4) + struct.pack("<LL", 7, 3) * 500_000
    gif = file_of(white, "GIF")
    screen = 13 + (3 << (gif[10] & 7) + 1)
    files = [
        file_of(white, exif=b"Exif\0\0II*\0\x08\0\0\0" + rationals),
        file_of(white, "WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0" + rationals),
        gif[:screen] + b"!\xfe" + b"\2ab" * 2_000_000 + b"\0" + gif[screen:],
        tiff(8, 1, b"\xff" * 16 + rationals.replace(struct.pack("<L", 26), struct.pack("<L", 42), 1), {34665: [24]}),
    ]
    assert mebibytes(tmp_path, file_of(white), *files) < 60


def test_pillows_settings_and_the_warning_filters_stay_as_they_are() -> None:
    def settings() -> tuple[object, ...]:
        return Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)

    before = settings()
    assert before[:2] == (1024 * 1024 * 1024 // 4 // 3, False)
    for data in (
        encoded(PICTURE),
        file_of(Image.fromarray(PICTURE), "JPEG")[:300],
        b"text",
        png(60_000, 60_000),
        png(8_000, 8_000),
    ):
        with contextlib.suppress(RequestError):
            decode(data, SIZE)
        assert settings() == before


def test_the_warning_filters_are_left_alone_while_a_picture_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of every thread: two that change and restore them leave the first one's behind."""
    seen = []

    def load(image: ImageFile.ImageFile) -> object:
        seen.append(warnings.filters is before)
        return loaded(image)

    before, loaded = warnings.filters, ImageFile.ImageFile.load
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    decode(file_of(Image.fromarray(PICTURE), "JPEG"), SIZE)
    assert seen
    assert all(seen)


REMARKS = """
import io, sys, warnings
from PIL import Image
from zfnet_explainer.pictures.decode import decode

buffer = io.BytesIO()
Image.new("RGB", (9, 9)).save(buffer, "JPEG", exif=b"Exif\\0\\0II*\\0\\x08\\0\\0\\0\\x09\\0\\x12\\x01")
decode(buffer.getvalue(), 9)
warnings.warn("of another")
"""


def test_pillows_remarks_are_not_written_and_those_of_others_are() -> None:
    done = subprocess.run([sys.executable, "-c", REMARKS], capture_output=True, text=True, check=True)
    assert "of another" in done.stderr
    assert "Corrupt EXIF" not in done.stderr
