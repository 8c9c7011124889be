"""What an occluding square shows in place of the picture."""

import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageFilter

NAMED = {"gray": "#808080", "black": "#000000", "white": "#ffffff"}
# Every name of a fill; a colour #rrggbb is one, too.
FILLS = ("gray", "mean", "black", "white", "blur")
FILLS_IN_WORDS = f"one of {', '.join(FILLS)} or a colour #rrggbb"


def is_fill(text: str) -> bool:
    """Whether it is one of `FILLS`, or a colour #rrggbb."""
    return text in FILLS or re.fullmatch("#[0-9a-fA-F]{6}", text) is not None


def fill_pixels(fill: str, pixels: NDArray[np.uint8], window: int, mean: tuple[float, ...]) -> NDArray[np.uint8]:
    """A picture of `fill` everywhere, the size of `pixels` uint8 [height, width, 3].

    gray, black, white or #rrggbb; `mean`, the training mean in 0..1 rounded to 8 bits; `blur`, the
    picture under Pillow's GaussianBlur of radius window/4, edges extended. Eight bits a channel, so
    that a client can paint the same square.
    """
    if fill == "blur":
        return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(window / 4)))
    average = "#" + "".join(f"{round(255 * m):02x}" for m in mean)
    colour = ImageColor.getrgb(average if fill == "mean" else NAMED.get(fill, fill))
    return np.broadcast_to(np.array(colour, np.uint8), pixels.shape).copy()
