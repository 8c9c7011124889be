"""Tables of what the explanations are worth."""

from ..statistics import interval, percent_interval
from ..tables import Table, percent
from .contrast import CONTRAST, SECOND, TRUE, Contrasts
from .curves import Faithfulness
from .study import Explanations

ROWS = {SECOND: "the second class, {} pictures", TRUE: "the true class, {} wrong pictures"}


def explanation_tables(found: Explanations) -> list[Table]:
    curves = (_curves(fill, one) for fill, one in found.faithfulness.items())
    return [_areas(found), _differences(found), _falls(found), _randomisation(found), *curves]


def contrast_tables(contrasts: Contrasts) -> list[Table]:
    rows = [
        (fill, ROWS[other].format(result.images), result)
        for fill, by_other in contrasts.results.items()
        for other, result in by_other.items()
    ]
    note = (
        f"{contrasts.images} pictures of {len(contrasts.classes)} classes, of which the net gets {contrasts.wrong} "
        f"wrong; {percent(contrasts.share, 0)} of the cells are covered each time. In brackets: the 95 % interval."
    )
    return [
        Table(
            "contrast", "What the choice between two classes loses under the cells of a map",
            ("fill", "odds against", "covered by", "log odds fall (nats)", "probability falls", "other class wins"),
            tuple(
                (
                    fill, against, name,
                    interval(move.log_odds, 2), interval(move.probability), percent_interval(move.overtaken),
                )
                for fill, against, result in rows
                for name, move in result.moves.items()
            ),
            note, keys=3,
        ),
        Table(
            "contrast-differences", "The contrast map against other choices of cells",
            ("fill", "odds against", "difference", "log odds fall (nats)", "more in", "less in"),
            tuple(
                (
                    fill, against, f"{CONTRAST} − {one.baseline}",
                    interval(one.log_odds, 2), percent(one.more, 0), percent(one.fewer, 0),
                )
                for fill, against, result in rows
                for one in result.advantages
            ),
            "Differences picture by picture; in the rest of the pictures both choices do the same.", keys=3,
        ),
    ]  # fmt: skip


def _areas(found: Explanations) -> Table:
    """Areas under the curves, for each fill and order."""
    rows = tuple(
        (fill, order, interval(result.deletion), interval(result.insertion))
        for fill, one in found.faithfulness.items()
        for order, result in one.orders.items()
    )
    note = (
        f"{found.images} pictures, {found.protocol.steps} steps. Deletion: lower is better; insertion: higher is "
        "better. In brackets: the 95 % interval."
    )
    columns = ("fill", "order", "deletion", "insertion")
    return Table("areas", "Areas under the deletion and insertion curves", columns, rows, note, keys=2)


def _differences(found: Explanations) -> Table:
    """Areas of an order less those of a baseline, and in how many pictures the order is the better one."""
    rows = tuple(
        (
            fill, f"{one.order} − {one.baseline}",
            interval(one.deletion), percent(one.deletion_better, 0),
            interval(one.insertion), percent(one.insertion_better, 0),
        )
        for fill, result in found.faithfulness.items()
        for one in result.differences
    )  # fmt: skip
    columns = ("fill", "order minus baseline", "deletion", "better in", "insertion", "better in")
    note = "Differences of areas, picture by picture. Better: lower deletion, higher insertion."
    return Table("differences", "Against orders that do not look at the net", columns, rows, note, keys=2)


def _falls(found: Explanations) -> Table:
    """What the strongest map loses when a part of its receptive field is covered."""
    rows = tuple(
        (fill, region, *map(percent_interval, (fall.at_cell, fall.largest, fall.total)))
        for fill, regions in found.falls.items()
        for region, fall in regions.items()
    )
    columns = ("fill", "covered", "at its cell", "largest value", "sum")
    note = f"{found.images} pictures; a tenth of the receptive field is covered each time."
    return Table("falls", "What the strongest map loses", columns, rows, note, keys=2)


def _randomisation(found: Explanations) -> Table:
    """How like the trained net's the explanations stay, layer by layer."""
    rows = tuple(
        (
            f"{stage.layer}" if i == 0 else f"and {stage.layer}",
            *(interval(e, 2) for e in (stage.projection, stage.projection_ranks, stage.occlusion_ranks)),
            interval(stage.occlusion_ranks_alone, 2),
        )
        for i, stage in enumerate(found.randomisation)
    )
    columns = ("shuffled", "projection", "projection, ranks", "occlusion map, ranks", "the row's layer alone")
    note = (
        f"Correlation with the trained net's explanation, {found.randomised_images} pictures; 1: unchanged. Last "
        "column: the occlusion map's, where no layer but the row's is shuffled."
    )
    return Table("randomisation", "Explanations of a net whose layers are shuffled", columns, rows, note)


def _curves(fill: str, result: Faithfulness) -> Table:
    """Mean probability of the predicted class at each step, as deletion / insertion."""
    steps = len(next(iter(result.orders.values())).deletion_curve) - 1
    rows = tuple(
        (
            percent(step / steps, 0),
            *(f"{o.deletion_curve[step]:.2f} / {o.insertion_curve[step]:.2f}" for o in result.orders.values()),
        )
        for step in range(steps + 1)
    )
    note = "Mean probability of the predicted class: that share covered / that share uncovered."
    return Table(f"curves-{fill}", f"Curves, {fill}", ("share", *result.orders), rows, note)
