"""The published tables of what explanations are worth: each number in its own place."""

from collections.abc import Iterator
from itertools import count

from zfnet_explainer.studies.faithfulness.covering import MIDDLE, OWN, MeanFall
from zfnet_explainer.studies.faithfulness.curves import MAP, RANDOM, Difference, Faithfulness, OrderResult, Protocol
from zfnet_explainer.studies.faithfulness.randomisation import Stage
from zfnet_explainer.studies.faithfulness.study import Explanations
from zfnet_explainer.studies.faithfulness.tables import explanation_tables
from zfnet_explainer.studies.statistics import Estimate


def estimates() -> Iterator[Estimate]:
    """Means of 0.01, 0.02, ..., each of an interval of its own."""
    return (Estimate(n / 100, n / 100 - 0.005, n / 100 + 0.003) for n in count(1))


def test_every_number_is_in_its_place() -> None:
    drawn = estimates()

    def fall() -> MeanFall:
        return MeanFall(at_cell=next(drawn), largest=next(drawn), total=next(drawn))

    found = Explanations(
        images=7,
        protocol=Protocol(32, 16, steps=2),
        faithfulness={
            "gray": Faithfulness(
                orders={
                    MAP: OrderResult(next(drawn), next(drawn), (0.91, 0.5, 0.11), (0.12, 0.6, 0.92)),
                    RANDOM: OrderResult(next(drawn), next(drawn), (0.93, 0.7, 0.13), (0.14, 0.8, 0.94)),
                },
                differences=(
                    Difference(
                        MAP, RANDOM,
                        deletion=next(drawn), deletion_better=0.31, insertion=next(drawn), insertion_better=0.32,
                    ),
                ),
            )
        },
        falls={"gray": {OWN: fall(), MIDDLE: fall()}},
        randomised_images=3,
        randomisation=(
            Stage(
                "fc8", projection=next(drawn), projection_ranks=next(drawn),
                occlusion_ranks=next(drawn), occlusion_ranks_alone=next(drawn),
            ),
            Stage(
                "fc7", projection=next(drawn), projection_ranks=next(drawn),
                occlusion_ranks=next(drawn), occlusion_ranks_alone=next(drawn),
            ),
        ),
    )  # fmt: skip
    tables = {table.name: table for table in explanation_tables(found)}
    assert list(tables) == ["areas", "differences", "falls", "randomisation", "curves-gray"]
    for table in tables.values():  # on a narrow terminal these alone stand before the last columns
        assert len({row[: table.keys] for row in table.rows}) == len(table.rows), table.name
    assert tables["areas"].columns == ("fill", "order", "deletion", "insertion")
    assert tables["areas"].rows == (
        ("gray", "occlusion map", "0.010 (0.005 to 0.013)", "0.020 (0.015 to 0.023)"),
        ("gray", "random", "0.030 (0.025 to 0.033)", "0.040 (0.035 to 0.043)"),
    )
    assert "7 pictures, 2 steps" in tables["areas"].note
    assert tables["differences"].columns[2:] == ("deletion", "better in", "insertion", "better in")
    assert tables["differences"].rows == (
        ("gray", "occlusion map − random", "0.050 (0.045 to 0.053)", "31 %", "0.060 (0.055 to 0.063)", "32 %"),
    )
    assert tables["falls"].columns == ("fill", "covered", "at its cell", "largest value", "sum")
    assert tables["falls"].rows == (
        ("gray", OWN, "7.0 % (6.5 to 7.3)", "8.0 % (7.5 to 8.3)", "9.0 % (8.5 to 9.3)"),
        ("gray", MIDDLE, "10.0 % (9.5 to 10.3)", "11.0 % (10.5 to 11.3)", "12.0 % (11.5 to 12.3)"),
    )
    assert tables["randomisation"].columns == (
        "shuffled", "projection", "projection, ranks", "occlusion map, ranks", "the row's layer alone"
    )  # fmt: skip
    assert tables["randomisation"].rows == (
        ("fc8", "0.13 (0.12 to 0.13)", "0.14 (0.14 to 0.14)", "0.15 (0.14 to 0.15)", "0.16 (0.15 to 0.16)"),
        ("and fc7", "0.17 (0.17 to 0.17)", "0.18 (0.17 to 0.18)", "0.19 (0.18 to 0.19)", "0.20 (0.20 to 0.20)"),
    )
    assert "3 pictures" in tables["randomisation"].note
    assert tables["curves-gray"].columns == ("share", "occlusion map", "random")
    assert tables["curves-gray"].rows == (
        ("0 %", "0.91 / 0.12", "0.93 / 0.14"),
        ("50 %", "0.50 / 0.60", "0.70 / 0.80"),
        ("100 %", "0.11 / 0.92", "0.13 / 0.94"),
    )
