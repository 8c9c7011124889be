"""Pictures of a study's curves."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ..training.log import Row, accuracies
from .faithfulness.curves import CENTRE, MAP, PROJECTION, RANDOM, Faithfulness
from .faithfulness.study import Explanations

STYLES = {MAP: ("#d55e00", "-"), PROJECTION: ("#0072b2", "-"), CENTRE: ("#666666", "--"), RANDOM: ("#666666", ":")}
COLOURS = ("#0072b2", "#d55e00")


def draw_curves(found: Explanations) -> Figure:
    """Deletion on the left, insertion on the right, one row a fill: means over the pictures."""
    rows = list(found.faithfulness.items())
    figure = Figure(figsize=(9.2, 0.5 + 3.1 * len(rows)), dpi=110, layout="constrained")
    panels = figure.subplots(len(rows), 2, squeeze=False, sharey="row")
    for (left, right), (fill, one) in zip(panels, rows, strict=True):
        _plot(left, one, [result.deletion_curve for result in one.orders.values()])
        _plot(right, one, [result.insertion_curve for result in one.orders.values()])
        # Only now: both have one scale, which ends at the largest value that is there when it is given a beginning.
        _finish(left, f"share of the picture covered with {fill}", "probability of the class")
        _finish(right, f"share of the picture uncovered from {fill}", "probability of the class")
    return figure


def draw_learning_curve(log: Sequence[Row]) -> Figure:
    """Top-1 by epoch, on what the axis names; where the side of the crops changes, a line says so."""
    figure = Figure(figsize=(6.4, 3.1), dpi=110, layout="constrained")
    axes = figure.subplots()
    epochs, measured = [row["epoch"] for row in log], accuracies(log)
    for (name, title), colour in zip(measured.items(), COLOURS, strict=False):
        shares = [row.get(name, math.nan) for row in log]  # no line leads over the epochs that lack it
        axes.plot(epochs, shares, color=colour, marker="o", markersize=3, label=title)
    for before, row in zip([None, *log], log, strict=False):
        if before is None or before["side"] != row["side"]:
            axes.axvline(row["epoch"] - 0.5, color="#cccccc", linewidth=1)
            text = f"{row['side']} px"
            axes.text(row["epoch"] - 0.4, 0.02, text, color="#666666", transform=axes.get_xaxis_transform())
    if len(measured) > 1:
        axes.legend(frameon=False, fontsize="small")
    _finish(axes, "epoch", ", ".join(measured.values()))
    return figure


def _plot(axes: Axes, one: Faithfulness, curves: Sequence[Sequence[float]]) -> None:
    for name, curve in zip(one.orders, curves, strict=True):
        colour, line = STYLES[name]
        shares = [step / (len(curve) - 1) for step in range(len(curve))]
        axes.plot(shares, curve, line, color=colour, label=name)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False, fontsize="small")


def _finish(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(0)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.spines[["top", "right"]].set_visible(False)
