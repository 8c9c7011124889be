"""Every kind of picture the contract lists."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.samples import encoded, noise, png_chunk, saved, tiff
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.formats import rgb
from zfnet_explainer.pictures.view import Crop

from .coded import LOSSLESS, PICTURE, SIZE, assert_close, over_white, pixels_of, png


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_a_picture_of_the_nets_size_is_used_pixel_for_pixel(file_format: str) -> None:
    found = decode(saved(Image.fromarray(PICTURE), file_format, **LOSSLESS[file_format]), SIZE)
    assert (found.pixels == PICTURE).all()
    assert (found.width, found.height, found.crop) == (SIZE, SIZE, Crop(0, 0, SIZE, SIZE))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff(compression: str) -> None:
    assert (pixels_of(saved(Image.fromarray(PICTURE), "TIFF", compression=compression)) == PICTURE).all()


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
    assert_close(pixels_of(saved(Image.fromarray(PICTURE), "JPEG", quality=95, **options)), PICTURE, 12)


def test_a_jpeg_with_a_second_picture_is_its_first() -> None:
    first, second = Image.new("RGB", (SIZE, SIZE), "red"), Image.new("RGB", (SIZE, SIZE), "blue")
    assert_close(pixels_of(saved(first, "MPO", save_all=True, append_images=[second])), np.array(first), 3)


def test_grey() -> None:
    grey = PICTURE[..., 0]
    assert (pixels_of(encoded(grey)) == grey[..., None]).all()


def test_one_bit() -> None:
    bits = Image.fromarray(PICTURE[..., 0] > 128)
    assert bits.mode == "1"
    for data in (saved(bits), saved(bits, "TIFF", compression="group4"), saved(bits, "BMP")):
        assert (pixels_of(data) == np.where(PICTURE[..., :1] > 128, 255, 0)).all()


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette(file_format: str) -> None:
    palette = Image.fromarray(PICTURE).quantize(64)
    assert (pixels_of(saved(palette, file_format)) == np.array(palette.convert("RGB"))).all()


def test_a_palettes_transparency_is_white() -> None:
    palette = Image.new("P", (SIZE, SIZE), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(0, (0, 0, 100, SIZE))
    for options in ({"transparency": 0}, {"transparency": bytes([0, 255])}):
        found = pixels_of(saved(palette, **options))
        assert (found[:, :100] == 255).all()
        assert (found[:, 100:] == [0, 0, 255]).all()


def test_a_half_transparent_palette_entry_lies_over_white() -> None:
    palette = Image.new("P", (SIZE, SIZE))
    palette.putpalette([255, 0, 0])
    assert_close(pixels_of(saved(palette, transparency=bytes([51]))), np.full_like(PICTURE, [255, 204, 204]), 1)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_rgba_lies_over_white(file_format: str) -> None:
    alpha = noise(seed=5)[..., :1]
    data = saved(Image.fromarray(np.dstack([PICTURE, alpha])), file_format, **LOSSLESS[file_format])
    assert_close(pixels_of(data), over_white(PICTURE, alpha), 1)


def test_grey_with_alpha_lies_over_white() -> None:
    alpha = noise(seed=5)[..., :1]
    data = saved(Image.merge("LA", [Image.fromarray(PICTURE[..., 1]), Image.fromarray(alpha[..., 0])]))
    assert_close(pixels_of(data), np.repeat(over_white(PICTURE[..., 1:2], alpha), 3, axis=2), 1)


def test_premultiplied_grey_lies_over_white() -> None:
    assert_close(pixels_of(tiff(8, 2, bytes([50, 100] * 16)), 4), np.full((4, 4, 3), 205), 1)


@pytest.mark.parametrize("bits", [8, 16])
def test_one_transparent_colour_is_white(bits: int) -> None:
    form = ">B" if bits == 8 else ">H"
    clear, solid = (struct.pack(form, value) for value in ((77, 200) if bits == 8 else (77 * 257, 200 * 257)))
    wanted = np.repeat(np.array([[255, 200, 200, 200]] * 4)[..., None], 3, axis=2)
    key = struct.unpack(form, clear)
    grey = png(4, 4, (b"\0" + clear + solid * 3) * 4, png_chunk(b"tRNS", struct.pack(">H", *key)), bits, 0)
    assert (pixels_of(grey, 4) == wanted).all()
    rows = (b"\0" + clear * 3 + solid * 9) * 4
    colour = png(4, 4, rows, png_chunk(b"tRNS", struct.pack(">HHH", *key * 3)), bits, 2)
    assert (pixels_of(colour, 4) == wanted).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_transparent_grey_of_few_bits_is_white(bits: int) -> None:
    """0 is transparent, then 1: black where it is not the transparent one, else the grey of 1."""
    row = b"\0" + bytes([0b01 << (8 - 2 * bits)])  # a 0 and a 1
    for key, wanted in ((0, [255, 255 // (2**bits - 1)]), (1, [0, 255])):
        data = png(2, 2, row * 2, png_chunk(b"tRNS", struct.pack(">H", key)), bits, 0)
        assert pixels_of(data, 2)[0, :, 0].tolist() == wanted


def test_a_transparent_deep_colour_whose_bytes_differ_is_white() -> None:
    clear, solid = struct.pack(">3H", 0x1205, 0x3407, 0x5609), struct.pack(">3H", 0x0512, 0x0734, 0x0956)
    data = png(2, 2, (b"\0" + clear + solid) * 2, png_chunk(b"tRNS", clear), 16, 2)
    assert pixels_of(data, 2)[0].tolist() == [[255, 255, 255], [5, 7, 9]]


def test_a_large_picture_is_converted_band_by_band_each_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows differ, and the square that is cut begins below the first."""
    monkeypatch.setattr(rgb, "BAND", 50 * SIZE)
    pixels, alpha = noise(401, SIZE), noise(401, SIZE, seed=5)[..., :1]
    assert (pixels_of(encoded(pixels[..., 0])) == pixels[88 : 88 + SIZE, :, :1]).all()
    assert_close(pixels_of(encoded(np.dstack([pixels, alpha]))), over_white(pixels, alpha)[88 : 88 + SIZE], 1)


@pytest.mark.parametrize(
    ("cmyk", "colour"),
    [((0, 255, 255, 0), (255, 0, 0)), ((0, 0, 0, 255), (0, 0, 0)), ((0, 0, 0, 0), (255, 255, 255))],
    ids=["red", "black", "white"],
)
@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk(file_format: str, cmyk: tuple[int, ...], colour: tuple[int, ...]) -> None:
    data = saved(Image.new("CMYK", (SIZE, SIZE), cmyk), file_format)
    assert_close(pixels_of(data), np.full_like(PICTURE, colour), 4)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_by_257(file_format: str) -> None:
    deep = (np.arange(SIZE * SIZE, dtype=np.uint16) * 13).reshape(SIZE, SIZE)
    deep[0, :3] = [0, 65535, 32768]
    data = saved(Image.fromarray(deep), file_format)
    assert Image.open(io.BytesIO(data)).mode == "I;16"
    assert (pixels_of(data) == (deep / 257).round().astype(int)[..., None]).all()
    assert pixels_of(data)[0, :3, 0].tolist() == [0, 255, 128]


def test_a_sixteen_bit_tiff_may_say_that_white_is_zero() -> None:
    deep = Image.fromarray(np.array([[7, 0, 40 * 257, 7], [7, 65535, 40 * 257, 7]], np.uint16))
    data = saved(deep, "TIFF", tiffinfo={262: 0})  # whose centre is cut out
    assert Image.open(io.BytesIO(data)).tag_v2[262] == 0  # type: ignore[attr-defined]
    assert pixels_of(data, 2)[..., 0].tolist() == [[255, 215], [0, 215]]


def test_big_endian_sixteen_bit_tiff() -> None:
    data = saved(Image.frombytes("I;16B", (4, 4), struct.pack(">H", 180 * 257) * 16), "TIFF")
    assert (pixels_of(data, 4) == 180).all()


def test_sixteen_bit_colour() -> None:
    row = b"\0" + struct.pack(">3H", 65535, 128 * 257, 257) * 4
    assert (pixels_of(png(4, 4, row * 4, bits=16), 4) == [255, 128, 1]).all()


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_is_its_first_frame(file_format: str) -> None:
    frames = [Image.new("RGB", (300, 240), colour) for colour in ("red", "lime", "blue")]
    data = saved(
        frames[0],
        file_format,
        save_all=True,
        append_images=frames[1:],
        **({"lossless": True} if file_format == "WEBP" else {}),
    )
    assert getattr(Image.open(io.BytesIO(data)), "n_frames", 1) == 3
    assert (pixels_of(data) == [255, 0, 0]).all()
