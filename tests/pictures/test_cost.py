"""What hostile bytes may cost, and what decoding leaves as it was."""

import contextlib
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from tests.needs import hardware
from tests.samples import encoded, png_chunk, saved, tiff
from zfnet_explainer.errors import RequestError
from zfnet_explainer.pictures.decode import MAX_BYTES, decode

from .coded import PICTURE, SIX, SIZE, pixels_of, png


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
        decode(saved(Image.fromarray(PICTURE), "BMP"), SIZE)


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


TURN = png_chunk(b"eXIf", SIX)


@hardware(Path("/proc/self/status").exists(), "peak memory is read from Linux's /proc")
def test_a_small_file_of_49_megapixels_costs_less_than_half_a_gigabyte(tmp_path: Path) -> None:
    """Grey with alpha and to be turned: picture, turned copy, RGBA and white ground are not in memory all at once."""
    files = []
    for side in (1, 7_000):
        rows = zlib.compressobj(1)
        data = b"".join(rows.compress(bytes(1 + 2 * side)) for _ in range(side)) + rows.flush()
        header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 4, 0, 0, 0))
        files.append(b"\x89PNG\r\n\x1a\n" + header + TURN + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b""))
    assert 49 < mebibytes(tmp_path, *files) < 500, "the picture was decoded, at that price"


@hardware(Path("/proc/self/status").exists(), "peak memory is read from Linux's /proc")
def test_metadata_cost_little_memory(tmp_path: Path) -> None:
    """Of a megapixel: what Pillow would make Python's numbers and strings of."""
    white = Image.new("L", (1000, 1000), 255)
    rationals = struct.pack("<HHHLL", 1, 274, 5, 500_000, 26) + bytes(4) + struct.pack("<LL", 7, 3) * 500_000
    gif = saved(white, "GIF")
    screen = 13 + (3 << (gif[10] & 7) + 1)
    files = [
        saved(white, exif=b"Exif\0\0II*\0\x08\0\0\0" + rationals),
        saved(white, "WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0" + rationals),
        gif[:screen] + b"!\xfe" + b"\2ab" * 2_000_000 + b"\0" + gif[screen:],
        tiff(8, 1, b"\xff" * 16 + rationals.replace(struct.pack("<L", 26), struct.pack("<L", 42), 1), {34665: [24]}),
    ]
    assert mebibytes(tmp_path, saved(white), *files) < 60


def test_pillows_settings_and_the_warning_filters_stay_as_they_are() -> None:
    def settings() -> tuple[object, ...]:
        return Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)

    before = settings()
    assert before[:2] == (1024 * 1024 * 1024 // 4 // 3, False)
    for data in (
        encoded(PICTURE),
        saved(Image.fromarray(PICTURE), "JPEG")[:300],
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
    decode(saved(Image.fromarray(PICTURE), "JPEG"), SIZE)
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
