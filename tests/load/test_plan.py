"""The capacity plan, worked out by hand."""

from dataclasses import replace

import pytest

from ..deploy.manifests import built, of_kind, serve_options, server
from .plan import Machine, Prices, per_million, replicas, replicas_table

MACHINE = Machine(cores=2, gpus=0, workers=2, threads=1, predictions_per_s=20, explanations_per_s=0.5)


@pytest.mark.parametrize(("wanted", "gives", "servers"), [(10, 20, 2), (14, 20, 2), (15, 20, 3), (1000, 20, 73)])
def test_servers_have_room_and_one_to_spare(wanted: float, gives: float, servers: int) -> None:
    assert replicas(wanted, gives) == servers


def test_the_table_has_both_pools_and_their_cost() -> None:
    lines = replicas_table(MACHINE, Prices(core=0.1, gib=0.05, gpu=3))
    assert lines[0] == "## Servers of 2 x 1 (workers x threads)"
    assert "2 cores, 5 GiB and 0 GPUs one costs 0.450 an hour" in lines[2]
    # 10/s: 10/14 -> 1 + 1 servers; 10/0.35 -> 29 + 1; 0.2/0.35 -> 1 + 1 beside the 2 for predictions.
    assert lines[6] == "| 10 | 2 | 0.90 | 25.00 | 30 | 13.50 | 375.00 | 4 |"
    assert len(lines) == 9


def test_the_pools_have_the_memory_of_the_plan() -> None:
    for pool in ("predict", "explain"):
        container = server(of_kind(built("kubernetes/overlays/cpu"), "Deployment")[f"zfnet-{pool}"])
        workers = serve_options(container["args"])["workers"] or 1  # on a CPU
        assert container["resources"]["limits"]["memory"] == f"{replace(MACHINE, workers=workers).gib}Gi"


def test_a_million_answers() -> None:
    assert per_million(3.6, 1) == "1000.00"
