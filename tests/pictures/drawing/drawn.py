"""Explanations to draw, and the pages that are made of them."""

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from tests.occlusions import by_hand
from zfnet_explainer.explanation import (
    Explanation,
    FloatArray,
    LayerProjections,
    Occlusion,
    Prediction,
)
from zfnet_explainer.methods.deconvnet import Feature
from zfnet_explainer.methods.squares import squares
from zfnet_explainer.net.geometry import Box
from zfnet_explainer.net.record import ClassName, Preprocessing, Record
from zfnet_explainer.pictures.drawing.common import COLUMNS, SECOND_ROW, TOP
from zfnet_explainer.pictures.drawing.figure import draw
from zfnet_explainer.pictures.drawing.page import Page

NAMES = tuple(ClassName(f"n{i:08d}", f"class {i}") for i in range(20))
RECORD = Record(
    "zfnet-tiny",
    "zfnet",
    NAMES,
    Preprocessing(224, (0.5, 0.25, 0.0), (1.0, 1.0, 1.0)),
    {},
    {"top1": 0.7421, "images": 10},
    "Apache-2.0",
    "0123456789abcdef" * 4,
)
INPUT, ACTIVITY = (COLUMNS[0], TOP), (COLUMNS[1], TOP)
PROBABILITY, CLASSES = (COLUMNS[0], SECOND_ROW), (COLUMNS[1], SECOND_ROW)


@cache
def projections(layer: int, count: int = 9) -> LayerProjections:
    """Random maps of a layer; the last one is dead and its box is cut at the border."""
    generator = torch.Generator().manual_seed(layer)
    side = (7, 27, 75, 107, 139)[layer - 1]
    features = [
        Feature(
            i,
            float(count - 1 - i),
            (i, i),
            Box(i, 2 * i, min(224, i + side), min(224, 2 * i + side)),
            torch.randn(3, 224, 224, generator=generator) * (i < count - 1),
        )
        for i in range(count)
    ]
    return LayerProjections(layer, 256, (13, 13), tuple(features), {i: i + 1 for i in range(count)}, {})


def occlusion(window: int, stride: int, classes: int = 3, fill: str = "gray") -> Occlusion:
    """Hand-made maps in which `classes` classes occur (as far as there are squares)."""
    grid = squares(224, 224, window, stride)
    shape = len(grid.tops), len(grid.lefts)
    probability = np.linspace(0.45, 0.1, len(grid), dtype=np.float32).reshape(shape)
    most_probable = (np.arange(len(grid)) % classes).reshape(shape)
    return replace(by_hand(grid, probability, most_probable, 0.85, 0), fill=fill)


def explanation(deconv: tuple[LayerProjections, ...] | None, found: Occlusion | None) -> Explanation:
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    probabilities: FloatArray = np.full(20, 0.05, np.float32)
    ranked = tuple(Prediction(i + 1, i, 0.05) for i in range(5))
    return Explanation(pixels, probabilities, ranked, ranked[0], deconv, found, None, {})


def drawn(deconv: tuple[LayerProjections, ...] | None, found: Occlusion | None, record: Record = RECORD) -> Page:
    """The figure, laid out to the last letter without a warning, each picture and map where no other is."""
    page = draw(explanation(deconv, found), record)
    page.figure.draw_without_rendering()
    places = [ax.get_position() for ax in page.figure.axes]
    assert all(place.x0 >= 0 and place.x1 <= 1 and place.y0 >= 0 and place.y1 <= 1 for place in places)
    assert not [pair for pair in combinations(places, 2) if pair[0].overlaps(pair[1])]
    return page


def cells(ax: Axes) -> QuadMesh:
    """A map's cells."""
    [mesh] = ax.collections
    assert isinstance(mesh, QuadMesh)
    return mesh


def contrasted(window: int, stride: int, lowest: float = -3, highest: float = 1) -> Occlusion:
    """The target against another class, whose log odds go from highest at the first square to lowest at the last.

    Unoccluded they are 0.5.
    """
    found = occlusion(window, stride)
    rows, cols = found.flipped.shape
    shift = np.linspace(highest, lowest, rows * cols, dtype=np.float32).reshape(rows, cols)
    logits, clean = np.full((rows, cols, 20), -9, np.float32), np.full(20, -9, np.float32)
    logits[..., 0], logits[..., 1], clean[0], clean[1] = shift, 0, 0.5, 0
    return replace(found, logits=logits, logits_unoccluded=clean, contrast_class=1)
