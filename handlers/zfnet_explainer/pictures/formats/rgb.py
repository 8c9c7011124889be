"""Pictures of any mode as 8-bit RGB over white."""

import numpy as np
from PIL import Image

WHITE_IS_ZERO = "white is zero"  # in `info`, of a picture of 16 bits
BAND = 2**20  # pixels that are converted at a time


def as_rgb(image: Image.Image, box: tuple[int, int, int, int] | None = None) -> Image.Image:
    """8-bit RGB of the box, transparency over white; band by band, for a large picture has no place for more copies."""
    left, top, right, bottom = box or (0, 0, *image.size)
    if image.mode == "RGB" and not image.has_transparency_data:
        return image if (right - left, bottom - top) == image.size else image.crop(box)
    whole = Image.new("RGB", (right - left, bottom - top), "white")
    rows = max(1, BAND // (right - left))
    for at in range(top, bottom, rows):
        band = _converted(image.crop((left, at, right, min(at + rows, bottom))))
        whole.paste(band, (0, at - top), band if band.mode == "RGBA" else None)
    return whole


def _converted(image: Image.Image) -> Image.Image:
    """RGBA where the image may be transparent, else RGB."""
    if image.mode.startswith("I;16"):
        table = (np.arange(65536) / 257).round().astype(np.uint8)
        if image.info.get(WHITE_IS_ZERO):
            table = table[::-1].copy()
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            table[transparent] = 255
        return Image.fromarray(table[np.asarray(image)]).convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
