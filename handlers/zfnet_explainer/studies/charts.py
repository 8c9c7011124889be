"""Pictures of a study's curves."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .faithfulness.curves import CENTRE, MAP, PROJECTION, RANDOM, Faithfulness
from .faithfulness.study import Explanations

STYLES = {MAP: ("#d55e00", "-"), PROJECTION: ("#0072b2", "-"), CENTRE: ("#666666", "--"), RANDOM: ("#666666", ":")}


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


def draw_learning_curve(log: Sequence[Sequence[float]]) -> Figure:
    """Validation top-1 by epoch; where the side of the crops changes, a line says so."""
    figure = Figure(figsize=(6.4, 3.1), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.plot([row[0] for row in log], [row[3] for row in log], color="#0072b2", marker="o", markersize=3)
    for before, row in zip([None, *log], log, strict=False):
        if before is None or before[1] != row[1]:
            axes.axvline(row[0] - 0.5, color="#cccccc", linewidth=1)
            axes.text(row[0] - 0.4, 0.02, f"{row[1]} px", color="#666666", transform=axes.get_xaxis_transform())
    _finish(axes, "epoch", "validation top-1")
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
