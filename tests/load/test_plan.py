"""The capacity plan, worked out by hand."""

import pytest

from .plan import Machine, Prices, per_million, replicas, replicas_table

MACHINE = Machine(cores=2, gpus=0, gib=4, predictions_per_s=20, explanations_per_s=0.5)


@pytest.mark.parametrize(("wanted", "gives", "servers"), [(10, 20, 2), (14, 20, 2), (15, 20, 3), (1000, 20, 73)])
def test_servers_have_room_and_one_to_spare(wanted: float, gives: float, servers: int) -> None:
    assert replicas(wanted, gives) == servers


def test_the_table_has_both_pools_and_their_cost() -> None:
    lines = replicas_table(MACHINE, Prices(core=0.1, gib=0.05, gpu=3))
    assert "costs 0.400 an hour" in lines[0]
    # 10/s: 10/14 -> 1 + 1 servers; 10/0.35 -> 29 + 1; 0.2/0.35 -> 1 + 1 beside the 2 for predictions.
    assert lines[4] == "| 10 | 2 | 0.80 | 22.22 | 30 | 12.00 | 333.33 | 4 |"
    assert len(lines) == 7


def test_a_million_answers() -> None:
    assert per_million(3.6, 1) == "1000.00"
