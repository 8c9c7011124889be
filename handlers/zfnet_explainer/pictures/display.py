"""Arrays as pictures: projections, patches and occlusion maps, alike in JSON's PNGs and in the figure."""

import io
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..explanation import FloatArray, IntArray, Occlusion, Pixels
from ..methods.squares import Squares
from ..net.geometry import Box

PROJECTION_NOTE = (
    "A projection is a feature projection: it shows what in the picture excited one value of one map, "
    "and is not evidence for the class."
)


def _table(anchors: str) -> Pixels:
    """256 colours [256, 3] through every fifth one, given in hexadecimal."""
    given = np.array([list(bytes.fromhex(anchor)) for anchor in anchors.split()])
    levels = np.arange(256)
    channels = [np.interp(levels, levels[::5], given[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


# Every fifth colour of matplotlib's viridis and cividis: an answer without a figure need not import it.
VIRIDIS = _table(
    "440154 46085c 471063 481769 481d6f 482475 472a7a 46307e 453781 433d84 414287 3f4889 3d4e8a 3a538b "
    "38598c 355e8d 33638d 31688e 2e6d8e 2c718e 2a768e 297b8e 27808e 25848e 23898e 218e8d 20928c 1f978b "
    "1e9c89 1fa188 21a585 24aa83 28ae80 2eb37c 35b779 3dbc74 46c06f 50c46a 5ac864 65cb5e 70cf57 7cd250 "
    "89d548 95d840 a2da37 b0dd2f bddf26 cae11f d8e219 e5e419 f1e51d fde725 "
)
CIVIDIS = _table(
    "00224e 002656 002a5f 002d68 003070 083370 163770 203a6f 273e6e 2e416d 34456c 3a486c 3f4c6c 444f6c "
    "49536c 4e566c 535a6d 575d6d 5c616e 60646f 656870 696b71 6d6f72 727274 767676 7a7a78 7e7d78 838179 "
    "888578 8d8878 928c78 969077 9b9476 a09875 a59c74 aaa073 afa471 b5a86f baac6d bfb06b c4b468 c9b965 "
    "cfbd62 d4c15f dac65b dfca57 e5cf52 ead34c f0d846 f6dd3f fce236 fee838 "
)
# And of its RdBu (ColorBrewer's), for what lies to both sides of a value: told apart with any colour vision.
DIVERGING = _table(
    "67001f 760521 840924 930e26 a21328 b1182b b82531 bf3338 c6413e ce4f45 d55d4c db6b55 e17860 e6866a ec9374 f2a17f "
    "f5ac8b f7b799 f9c2a7 fbccb4 fcd7c2 fcdecd fbe4d6 fae9df f9efe9 f8f4f2 f3f5f6 ecf2f5 e4eef4 ddebf2 d5e7f1 cce2ef "
    "c0dceb b3d6e8 a7d0e4 9bc9e0 8dc2dc 7eb8d7 6eaed2 5fa5cd 4f9bc7 4291c2 3b88be 3480b9 2e77b5 276eb0 2065ab 1b5a9c "
    "15508d 10457e 0a3b70 053061 "
)

# Okabe & Ito 2008, told apart with any colour vision; black stands for the eighth class.
CLASS_COLOURS = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (0, 0, 0),
)
OTHER_COLOUR = (187, 187, 187)


@dataclass(frozen=True)
class LegendEntry:
    """A colour of the class map: the class that has it, or all that share it, and how many squares."""

    classes: tuple[int, ...]
    positions: int
    colour: tuple[int, int, int]


def class_counts(occlusion: Occlusion) -> list[tuple[int, int]]:
    """The legend's classes, each with its number of squares: the prediction, then those that occur, the most frequent
    first, ties to the lower index.

    The prediction stands there even with no square, so that the first colour is its own in every picture.
    """
    prediction = occlusion.most_probable_unoccluded
    counts = Counter({prediction: 0})
    counts.update(occlusion.most_probable_class.flatten().tolist())
    return sorted(counts.items(), key=lambda item: (item[0] != prediction, -item[1], item[0]))


def legend(counts: list[tuple[int, int]]) -> list[LegendEntry]:
    """A colour for each class and its squares, in their order: what `class_counts` gives.

    Beyond eight, the first seven keep a colour and one last entry holds all others.
    """
    kept = counts if len(counts) <= len(CLASS_COLOURS) else counts[: len(CLASS_COLOURS) - 1]
    entries = [LegendEntry((index,), count, CLASS_COLOURS[i]) for i, (index, count) in enumerate(kept)]
    rest = counts[len(kept) :]
    if rest:
        entries.append(LegendEntry(tuple(i for i, _ in rest), sum(count for _, count in rest), OTHER_COLOUR))
    return entries


def projection_pixels(projection: FloatArray | Tensor, box: Box) -> Pixels:
    """The part of a projection [3, height, width] inside `box`, uint8 [rows, columns, 3].

    Mid-grey (128) is zero; values are divided by the 99.5th percentile of their size within the
    box (the largest where that is zero) and cut at 1 and 255.
    """
    values = np.asarray(projection)[:, *box.slices].transpose(1, 2, 0)
    size = np.abs(values)
    scale = np.percentile(size, 99.5) or size.max() or 1.0
    return (128 + 127 * (values / scale).clip(-1, 1)).round().astype(np.uint8)


def patch_pixels(pixels: Pixels, box: Box) -> Pixels:
    """The part of a picture [height, width, 3] inside `box`."""
    return pixels[box.slices]


def occlusion_pixels(occlusion: Occlusion, height: int, width: int) -> dict[str, Pixels]:
    """The three maps as RGBA pictures [height, width, 4] that lie over the explained picture."""
    squares = occlusion.squares
    activity = upper(occlusion.feature_activity, occlusion.feature_unoccluded)
    probability = upper(occlusion.target_probability, occlusion.unoccluded)
    return {
        "feature_activity": map_pixels(occlusion.feature_activity / activity, VIRIDIS, squares, height, width),
        "target_probability": map_pixels(occlusion.target_probability / probability, CIVIDIS, squares, height, width),
        "most_probable_class": class_pixels(occlusion, height, width),
    }


def upper(values: FloatArray, unoccluded: float) -> float:
    """The value at the bright end of a map's colours, whose dark end is zero."""
    return max(float(values.max()), unoccluded) or 1.0


def map_pixels(shares: FloatArray, colours: Pixels, squares: Squares, height: int, width: int) -> Pixels:
    """Values [rows, cols] in 0..1 through a table of 256 colours, each over its cell: RGBA [height, width, 4]."""
    return _over_cells(colours[(shares.clip(0, 1) * 255).round().astype(int)], squares, height, width)


def class_pixels(occlusion: Occlusion, height: int, width: int) -> Pixels:
    """The most probable classes in the colours of their legend, each over its cell: RGBA [height, width, 4]."""
    classes = occlusion.most_probable_class
    colours = np.empty((*classes.shape, 3), np.uint8)
    for entry in legend(class_counts(occlusion)):
        colours[np.isin(classes, entry.classes)] = entry.colour
    return _over_cells(colours, occlusion.squares, height, width)


def cell_edges(starts: tuple[int, ...], window: int) -> NDArray[np.float64]:
    """Borders [n + 1], in pixels, of the cells around the centres of n squares along one axis.

    Half way between neighbouring centres, the outermost as far outside as inside; a lone square is its own cell.
    """
    centres = np.array(starts) + window / 2
    if len(centres) == 1:
        return np.array([starts[0], starts[0] + window], float)
    between = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - between[0]], between, [2 * centres[-1] - between[-1]]])


def png_bytes(pixels: Pixels) -> bytes:
    """A picture [height, width, 3 or 4] as PNG, the same bytes for the same picture."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _over_cells(colours: Pixels, squares: Squares, height: int, width: int) -> Pixels:
    """Colours [rows, cols, 3] over their cells, transparent where no cell is."""
    rows = _cells(cell_edges(squares.tops, squares.window), height)
    cols = _cells(cell_edges(squares.lefts, squares.window), width)
    picture = np.zeros((height, width, 4), np.uint8)
    covered = np.ix_(rows >= 0, cols >= 0)
    picture[covered] = np.insert(colours[np.ix_(rows[rows >= 0], cols[cols >= 0])], 3, 255, axis=2)
    return picture


def _cells(edges: NDArray[np.float64], size: int) -> IntArray:
    """The cell [size] that holds each pixel's centre, -1 outside all."""
    cells = np.searchsorted(edges, np.arange(size) + 0.5, side="right") - 1
    return np.where(cells < len(edges) - 1, cells, -1)
