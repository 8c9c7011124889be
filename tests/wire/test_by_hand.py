"""An explanation made by hand, no value of it like another: whole in JSON, in arrays and in the report's tables."""

import re
from dataclasses import replace
from html import unescape
from typing import Any

import numpy as np
import pytest
import torch

from tests.explained import OPTIONS, SIDE, record
from zfnet_explainer.explanation import Agreement, CrossCheck, Explanation, LayerProjections, Occlusion, Other, Scores
from zfnet_explainer.methods import deconvnet, occlusion
from zfnet_explainer.methods.deconvnet import Feature
from zfnet_explainer.methods.squares import Squares
from zfnet_explainer.net.geometry import Box
from zfnet_explainer.pictures.view import Crop, Picture
from zfnet_explainer.wire import response
from zfnet_explainer.wire.arrays import arrays
from zfnet_explainer.wire.report import report

RECORD = replace(record(5, SIDE), validation={"top1": 0.625, "images": 1600, "temperature": 2.0})
SERVED = response.Served("small", "2.1", "cuda:7 (card)", RECORD)
PICTURE = Picture(np.zeros((SIDE, SIDE, 3), np.uint8), 60, 40, Crop(1, 10, 39, 38))
# By class: with nothing covered, and under two rows of three squares.
CLEAN = np.array([0.1, 0.3, 0.4, 0.15, 0.05], np.float32)
COVERED = np.array(
    [
        [[0.1, 0.5, 0.2, 0.15, 0.05], [0.1, 0.6, 0.1, 0.12, 0.08], [0.1, 0.25, 0.1, 0.45, 0.1]],
        [[0.1, 0.05, 0.6, 0.04, 0.21], [0.04, 0.8, 0.06, 0.05, 0.05], [0.1, 0.2, 0.1, 0.5, 0.1]],
    ],
    np.float32,
)
ACTIVITY = np.arange(6, dtype=np.float32).reshape(2, 3)
MAPS = Occlusion(
    squares=Squares(20, 9, (2, 17), (0, 9, 16)), fill="#12ab34", layer=3, feature=6, feature_unoccluded=90.5,
    feature_activity=ACTIVITY, logits=2 * np.log(COVERED), logits_unoccluded=2 * np.log(CLEAN), temperature=2.0,
    target=1, contrast_class=3, precision="bfloat16", max_deviation=0.003, log_odds_deviation=0.021, way="one_group",
)  # fmt: skip
RANKED = Scores(2 * np.log(CLEAN), CLEAN).predictions
PROJECTION = torch.arange(3.0 * SIDE * SIDE).view(3, SIDE, SIDE)
FEATURE = Feature(5, 12.5, (1, 2), Box(3, 4, 11, 13), PROJECTION)
OTHER = Other(np.zeros((2, 2, 3), np.uint8), 99.5, "val/n4_1", "n4")
CHECK = CrossCheck(
    "captum", "0.9", Agreement(2e-5), Agreement(0.5, must_agree=False), {1: 0.5, 4: 0.25}, {"zeros": "x"}
)
FOUND = Explanation(
    PICTURE.pixels, CLEAN, RANKED[:3], RANKED[1],
    (LayerProjections(3, 7, (8, 9), (FEATURE,), {5: 6}, {5: (OTHER,)}),), MAPS, CHECK, {"decode": 0.0125},
)  # fmt: skip
LOG_ODDS = np.log(COVERED[..., 1] / COVERED[..., 3])


def about(values: Any) -> Any:
    return pytest.approx(values, rel=1e-5, abs=1e-6)


def named(index: int) -> dict[str, Any]:
    return {"class_index": index, "synset": f"n{index}", "label": f"class {index}"}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return response.explained(SERVED, PICTURE, FOUND, images=False)


def test_json_says_who_answers() -> None:
    assert response.stamped(SERVED, "r-1", {"predict": 0.0125}, {"kept": 1}) == {
        "request_id": "r-1",
        "model": {
            "name": "small",
            "version": "2.1",
            "weights_sha256": "ab" * 32,
            "validation": {"top1": 0.625, "images": 1600},
            "device": "cuda:7 (card)",
        },
        "kept": 1,
        "timing_ms": {"predict": 12.5},
    }


def test_json_has_the_picture_its_classes_and_the_projections(told: dict[str, Any]) -> None:
    assert told["image"] == {
        "width": 60,
        "height": 40,
        "crop": {"top": 1, "left": 10, "height": 39, "width": 38},
        "preprocessing": {
            "size": SIDE, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.3), "crop": 1.0, "interpolation": "bicubic",
        },
    }  # fmt: skip
    assert told["target"] == {**named(1), "probability": about(0.3)}
    assert told["predictions"] == [
        {"rank": 1, **named(2), "probability": about(0.4)},
        {"rank": 2, **named(1), "probability": about(0.3)},
        {"rank": 3, **named(3), "probability": about(0.15)},
    ]
    feature = {
        "rank": 6,
        "feature": 5,
        "activation": 12.5,
        "position": (1, 2),
        "receptive_field": {"top": 3, "left": 4, "bottom": 11, "right": 13},
        "others": [{"activation": 99.5, "source": "val/n4_1", "synset": "n4", "label": "class 4"}],
    }
    assert told["deconv"] == {
        "layers": [{"layer": 3, "maps": 7, "size": (8, 9), "features": [feature]}],
        "conventions": deconvnet.CONVENTIONS,
    }
    assert told["crosscheck"] == {
        "library": "captum",
        "version": "0.9",
        "deconv": {"max_relative_difference": 2e-5, "agrees": True},
        "occlusion": {
            "max_relative_difference": 0.5,
            "agrees": None,
            "by_class": [
                {**named(1), "max_relative_difference": 0.5},
                {**named(4), "max_relative_difference": 0.25},
            ],
        },
        "conventions": {"zeros": "x"},
    }


def test_json_has_the_occlusion_maps(told: dict[str, Any]) -> None:
    assert told["occlusion"] == {
        "window": 20,
        "stride": 9,
        "fill": "#12ab34",
        "rows": 2,
        "cols": 3,
        "tops": (2, 17),
        "lefts": (0, 9, 16),
        "feature": {"layer": 3, "feature": 6, "unoccluded": 90.5},
        "feature_activity": about(ACTIVITY),
        "target_probability": about(COVERED[..., 1]),
        "unoccluded": about(0.3),
        "most_probable_class": about(np.array([[1, 1, 3], [2, 1, 3]])),
        "classes": [{**named(2), "positions": 1}, {**named(1), "positions": 3}, {**named(3), "positions": 2}],
        "summary": {
            "worst": {"top": 17, "left": 0, "probability": about(0.05), "drop": about(0.25)},
            "best": {"top": 17, "left": 9, "probability": about(0.8), "rise": about(0.5)},
            "flipped_share": about(5 / 6),
        },
        "exact": False,
        "temperature": 2.0,
        "max_deviation": 0.003,
        "way": "one_group",
        "precision": "bfloat16",
        "conventions": occlusion.CONVENTIONS,
        "contrast": {
            **named(3),
            "unoccluded": about(np.log(2)),
            "log_odds": about(LOG_ODDS),
            "worst": {"top": 17, "left": 16, "log_odds": about(np.log(0.4))},
            "max_deviation": 0.021,
        },
        "by_class": [
            {**named(i), "unoccluded": about(CLEAN[i]), "probability": about(COVERED[..., i])} for i in (2, 1, 3)
        ],
    }


def test_json_tells_an_exact_map_from_one_that_is_not() -> None:
    exact = replace(MAPS, precision="float32", max_deviation=None, log_odds_deviation=None)
    said = response.explained(SERVED, PICTURE, replace(FOUND, occlusion=exact), images=False)["occlusion"]
    assert (said["exact"], said["precision"], said["max_deviation"]) == (True, "float32", None)
    assert said["contrast"]["max_deviation"] is None


def test_arrays_have_all_of_it() -> None:
    found = arrays(PICTURE, FOUND)
    expected = {
        "probabilities": CLEAN,
        "target.class_index": 1,
        "target.probability": 0.3,
        "image.pixels": PICTURE.pixels,
        "image.width": 60,
        "image.height": 40,
        "image.crop.top": 1,
        "image.crop.left": 10,
        "image.crop.height": 39,
        "image.crop.width": 38,
        "deconv.3.5.rank": 6,
        "deconv.3.5.projection": np.moveaxis(PROJECTION.numpy(), 0, 2),
        "deconv.3.5.activation": 12.5,
        "deconv.3.5.position": [1, 2],
        "deconv.3.5.receptive_field": [3, 4, 11, 13],
        "occlusion.window": 20,
        "occlusion.stride": 9,
        "occlusion.tops": [2, 17],
        "occlusion.lefts": [0, 9, 16],
        "occlusion.feature.layer": 3,
        "occlusion.feature.feature": 6,
        "occlusion.feature.unoccluded": 90.5,
        "occlusion.feature_activity": ACTIVITY,
        "occlusion.logits": 2 * np.log(COVERED),
        "occlusion.temperature": 2.0,
        "occlusion.target_probability": COVERED[..., 1],
        "occlusion.unoccluded": 0.3,
        "occlusion.most_probable_class": [[1, 1, 3], [2, 1, 3]],
        "occlusion.max_deviation": 0.003,
        "occlusion.contrast.class_index": 3,
        "occlusion.contrast.unoccluded": np.log(2),
        "occlusion.contrast.log_odds": LOG_ODDS,
        "occlusion.contrast.max_deviation": 0.021,
        "crosscheck.deconv.max_relative_difference": 2e-5,
        "crosscheck.occlusion.max_relative_difference": 0.5,
    }
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def tables(page: str) -> dict[str, list[tuple[str, ...]]]:
    """The rows of each section's table by its title."""
    return {
        unescape(section.partition("</h2>")[0]): [
            tuple(map(unescape, re.findall('<t[dh](?: scope="row")?>(.*?)</t[dh]>', row)))
            for row in re.findall('<tr>(<t[dh](?: scope="row")?>.*)</tr>', section)
        ]
        for section in page.split("<h2>")[1:]
    }


def test_the_report_has_every_value_in_its_row() -> None:
    answer = response.described(SERVED, PICTURE, FOUND, images=False)
    stamped = response.stamped(SERVED, "r-1", FOUND.seconds, answer)
    page = report(stamped, OPTIONS, b"figure", SERVED.record.classes).decode()
    rows = tables(page)
    assert rows["Predictions"] == [
        ("1", "class 2", "40.0 %"), ("2", "class 1", "30.0 %"), ("3", "class 3", "15.0 %"),
    ]  # fmt: skip
    assert rows["Their synsets and indices"] == [("1", "n2", "2"), ("2", "n1", "1"), ("3", "n3", "3")]
    assert rows["Occlusion"] == [
        ("Target", "class 1, synset n1, index 1"),
        ("Probability, nothing covered", "30.0 %"),
        ("Lowest probability", "5.0 %"),
        ("Largest drop", "25.0 points"),
        ("Worst position", "top 17, left 0 (of the 20-pixel square)"),
        ("Highest probability", "80.0 %, at top 17, left 9"),
        ("The prediction changes", "at 83.3 % of the positions"),
        ("Feature of the activity map", "layer 3, map 6"),
        ("Its activity, nothing covered", "90.5"),
        ("Squares", "2 × 3 = 6"),
        ("Evaluation", "bfloat16, at most 3.0e-03 from float32 where compared"),
    ]
    assert rows["Why class 1 and not class 3"] == [
        ("Against", "class 3, synset n3, index 3"),
        ("Log odds, nothing covered", "0.69 nats"),
        ("Lowest log odds", "-0.92 nats, at top 17, left 16"),
        ("Most that a square takes", "1.61 nats"),
        ("Evaluation", "bfloat16, at most 2.1e-02 nats from float32 where compared"),
    ]
    assert rows["Cross-check with captum 0.9"] == [
        ("Projections", "agree, largest difference 2.0e-05 of the largest value"),
        ("Occlusion maps", "are rounded and need not agree, largest difference 5.0e-01 of the largest value"),
    ]
    assert rows["Most probable classes under the square"] == [
        ("class 2", "n2", "1"), ("class 1", "n1", "3"), ("class 3", "n3", "2"),
    ]  # fmt: skip
    assert rows["Projected maps"] == [
        ("3", "6", "5", "12.5", "row 1, column 2", "rows 3 to 10, columns 4 to 12"),
    ]  # fmt: skip
    assert rows["The same maps in other pictures"] == [("3", "5", "class 4 99.5 (val/n4_1)")]
    assert [row for row in rows["Model and request"] if row[0] != "Made"] == [
        ("Model", "small 2.1"),
        ("Weights, SHA-256", "ab" * 32),
        ("Validation", "62.5 % right on 1,600 pictures of its classes"),
        ("Device", "cuda:7 (card)"),
        ("Picture", "60 × 40 pixels"),
        ("Explained square", "top 1, left 10, 38 × 39 pixels"),
        (
            "Preprocessing",
            "size 37, mean (0.5, 0.4, 0.3), std (0.2, 0.25, 0.3), crop 1.0, interpolation bicubic",
        ),
        ("Request", "r-1"),
        ("Time", "decode 12 ms"),
    ]
