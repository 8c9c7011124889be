"""Occlusion maps made by hand: what the target's probability and the most probable class are to be."""

import numpy as np

from zfnet_explainer.explanation import FloatArray, IntArray, Occlusion
from zfnet_explainer.methods.squares import Squares

CLASSES = 20


def by_hand(
    grid: Squares, probability: FloatArray, most_probable: IntArray, unoccluded: float,
    most_probable_unoccluded: int, target: int = 0,
) -> Occlusion:  # fmt: skip
    """Maps of layer 5's map 173 whose target has such probabilities [rows, cols], and such most probable classes.

    Of another class than the target only where it is left more than a half; what is left goes to it, or to all alike.
    """
    covered = logits(probability, most_probable, target)
    clean = logits(np.array(unoccluded, np.float32), np.array(most_probable_unoccluded), target)
    return Occlusion(
        squares=grid, fill="gray", layer=5, feature=173, feature_unoccluded=90.0, feature_activity=100 * probability,
        logits=covered, logits_unoccluded=clean, temperature=1.0, target=target, contrast_class=None,
        precision="float32", max_deviation=None, log_odds_deviation=None, way="groups",
    )  # fmt: skip


def logits(probability: FloatArray, most_probable: IntArray, target: int) -> FloatArray:
    """Logits [..., 20] of those probabilities [...] of the target and most probable classes [...]."""
    others = (np.arange(CLASSES) != target) / np.float32(CLASSES - 1)
    winner = np.eye(CLASSES, dtype=np.float32)[most_probable]
    share = np.where((most_probable == target)[..., None], others, winner)
    found = (1 - probability[..., None]) * share
    found[..., target] = probability
    assert (found.argmax(-1) == most_probable).all(), "no such probabilities"
    with np.errstate(divide="ignore"):
        log: FloatArray = np.log(found).astype(np.float32)
    return log
