"""The page's scripts in node: their own tests, their syntax, and that they draw what the server draws."""

import json
import math
import re
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.needs import needs, program
from zfnet_explainer.errors import UnusableOption
from zfnet_explainer.methods.squares import Squares, squares
from zfnet_explainer.net.record import ClassName, Preprocessing
from zfnet_explainer.pictures.display import VIRIDIS, cell_edges, legend, map_pixels, upper
from zfnet_explainer.pictures.drawing.maps import Quantity
from zfnet_explainer.pictures.view import centre_square, cut
from zfnet_explainer.wire.options import FORMATS, explain_options
from zfnet_explainer.wire.page.page import FOLDER, SCRIPTS, page
from zfnet_explainer.wire.rules import Rules
from zfnet_explainer.wire.values import ClassIndex

pytestmark = needs("node")

HERE = Path(__file__).parent
RULES = Rules(
    (ClassName("n01", "tench"),), (96, 256, 384, 384, 256), 224, ("float32",), 99, 9, keeps_float32=True, max_others=9
)
# Sides, windows and strides: one square, squares that fill the side, a margin left over, odd sides, single pixels.
GRIDS = ((224, 224, 8), (224, 56, 56), (224, 56, 55), (224, 17, 10), (31, 7, 3), (5, 1, 1), (100, 99, 99))

PICTURES = ((36, 24), (7, 10), (10, 7), (5, 5), (256, 256), (400, 301), (1023, 2000))

CLASSES = tuple(
    ClassName(*name)
    for name in (
        ("n01", "tench"),
        ("n_02", "Golf  ball"),
        ("0", "dog"),
        ("n04", "7"),
        ("A", "A"),
        ("a", "a"),
        ("cafe\u0301",) * 2,
    )
)
SAID = ("TENCH", " n01", "golf_ball", "N 02", "0", "1", "7", "dog", "A", "a", "caf\u00e9")
# What the page's controls can say; `images` it sends with JSON alone.
OPTIONS = {
    **{"top_k": "1", "methods": "deconv,occlusion", "target": "n01", "layer": "5", "features": "3", "others": "2"},
    **{"window": "56", "stride": "56", "fill": "blur", "precision": "float32", "crosscheck": "none"},
}
# Log odds of two classes: with nothing covered, and under the one square.
ODDS = ((0.5, 0.5), (0.5, 0.5 - 1.7e-6), (-1.0, -1.09), (-1.0, -1.25), (2.0, 5.0))


def node(*arguments: str | Path, given: str = "") -> str:
    """What node writes when it is run with these arguments."""
    command = [program("node"), *map(str, arguments)]
    ran = subprocess.run(command, input=given, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_their_own_tests_pass() -> None:
    tests = sorted(HERE.glob("*.test.mjs"))
    assert tests
    node("--test", *tests)


def test_together_they_are_one_module(tmp_path: Path) -> None:
    assert set(SCRIPTS) == {file.name for file in FOLDER.glob("*.js")}
    [script] = re.findall(r'<script type="module">(.*?)</script>', page("zfnet", RULES).decode(), re.DOTALL)
    module = tmp_path / "page.mjs"
    module.write_text(script)
    node("--check", module)


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    """Seeded grids, legends, maps and pictures, and the colours that the page is given."""
    random = np.random.default_rng(0)
    laid = [(size, squares(size, size, window, stride)) for size, window, stride in GRIDS]
    for _ in range(20):
        size = int(random.integers(1, 300))
        window = int(random.integers(1, size + 1))
        laid.append((size, squares(size, size, window, int(random.integers(1, window + 1)))))
    settings = re.findall(r'<script [^>]*id="settings">(.*?)</script>', page("zfnet", RULES).decode())
    return {
        "grids": [{"size": size, **asdict(grid)} for size, grid in laid],
        "legends": [
            [
                {"class_index": int(index), "label": f"class {index}", "positions": int(positions)}
                for index, positions in zip(random.permutation(40)[:n], random.integers(0, 99, n), strict=True)
            ]
            for n in (1, 2, 7, 8, 9, 10, 30)
        ],
        "maps": [
            {"values": random.uniform(0, high, (4, 5)).tolist(), "unoccluded": unoccluded}
            for high, unoccluded in ((1, 0.5), (0.4, 0.5), (1.2, 0.1), (0, 0))
        ],
        "pictures": [{"width": width, "height": height} for width, height in PICTURES],
        "colours": json.loads(settings[0])["colours"],
        "classes": [asdict(name) for name in CLASSES],
        "said": SAID,
        "files": {"formats": FORMATS, "options": OPTIONS},
        "odds": [[_class_of(0, math.exp(clean), math.exp(under)), _class_of(1, 1, 1)] for clean, under in ODDS],
    }


def _class_of(index: int, unoccluded: float, probability: float) -> dict[str, Any]:
    return {"class_index": index, "unoccluded": unoccluded, "probability": [[probability]]}


@pytest.fixture(scope="module")
def found(cases: dict[str, Any]) -> dict[str, Any]:
    """What the page makes of these."""
    answers: dict[str, Any] = json.loads(node(HERE / "compare.mjs", given=json.dumps(cases)))
    return answers


def test_cells_have_the_servers_edges(cases: dict[str, Any], found: dict[str, Any]) -> None:
    axes = [(grid[side], grid["window"]) for grid in cases["grids"] for side in ("tops", "lefts")]
    assert found["edges"] == [cell_edges(starts, window).tolist() for starts, window in axes]


def test_squares_are_as_many_as_the_server_lays(cases: dict[str, Any], found: dict[str, Any]) -> None:
    assert found["counts"] == [len(grid["tops"]) * len(grid["lefts"]) for grid in cases["grids"]]


def test_legends_are_the_servers(cases: dict[str, Any], found: dict[str, Any]) -> None:
    for classes, entries in zip(cases["legends"], found["legends"], strict=True):
        theirs = legend([(c["class_index"], c["positions"]) for c in classes])
        assert [(e["indices"], e["positions"], e["colour"]) for e in entries] == [
            (list(e.classes), e.positions, f"#{bytes(e.colour).hex()}") for e in theirs
        ]


def test_values_have_the_servers_colours(cases: dict[str, Any], found: dict[str, Any]) -> None:
    for given, brightest, shades in zip(cases["maps"], found["brightest"], found["shades"], strict=True):
        values = np.array(given["values"])
        assert brightest == upper(values, given["unoccluded"])
        pixels = Squares(1, 1, tuple(range(values.shape[0])), tuple(range(values.shape[1])))
        colours = map_pixels(values, VIRIDIS, pixels, *values.shape)[..., :3].reshape(-1, 3)
        assert shades == [f"#{bytes(colour).hex()}" for colour in colours]


def test_the_square_in_the_middle_is_the_servers(cases: dict[str, Any], found: dict[str, Any]) -> None:
    for picture, crop in zip(cases["pictures"], found["crops"], strict=True):
        _, theirs = centre_square(Image.new("RGB", (picture["width"], picture["height"])), 4)
        assert crop == asdict(theirs)


def test_the_inner_square_is_the_servers_to_a_pixel_of_the_nets(cases: dict[str, Any], found: dict[str, Any]) -> None:
    view = Preprocessing(224, (0.5,) * 3, (0.5,) * 3, crop=0.875, interpolation="bilinear")
    for picture, crop in zip(cases["pictures"], found["inner"], strict=True):
        _, theirs = cut(Image.new("RGB", (picture["width"], picture["height"])), view)
        pixel = max(1, min(picture["width"], picture["height"]) / 256)
        assert crop == pytest.approx(asdict(theirs), abs=pixel, rel=0)


def test_a_class_is_said_as_the_server_reads_it(found: dict[str, Any]) -> None:
    assert found["said"] == [ClassIndex(CLASSES).parse("contrast", text) for text in SAID]


def test_a_file_is_asked_for_with_every_option_that_the_server_takes_for_it(found: dict[str, Any]) -> None:
    for form, fitted in zip(FORMATS, found["fitted"], strict=True):
        explain_options({**fitted, "format": form}, "", RULES, "plain")
        for left_out in OPTIONS.keys() - fitted.keys():
            with pytest.raises(UnusableOption):
                explain_options({**fitted, "format": form, left_out: OPTIONS[left_out]}, "", RULES, "plain")


def test_colours_of_log_odds_reach_as_far_as_the_servers(found: dict[str, Any]) -> None:
    for (clean, under), reach in zip(ODDS, found["reaches"], strict=True):
        shown = Quantity.around(np.array([[under]]), clean, "RdBu", "nats")
        assert (shown.high - shown.low) / 2 == pytest.approx(reach)
