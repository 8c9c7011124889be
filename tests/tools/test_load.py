"""The measurements of tools/load: what they work out, by hand; and that they start, measure something and end."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from tools.load import capacity, neighbours, overload, pools, service, soak
from tools.load.clients import EXPLAIN, PREDICT, Seen, at_once, in_turn, together
from tools.load.drained import Stop, paragraph
from tools.load.out import in_a_writable_folder, page, save, table
from tools.load.plan import Machine, Prices, per_million, replicas, replicas_table
from typer.testing import CliRunner

from zfnet_explainer.torchserve.server import RunningServer

from ..deploy.manifests import built, of_kind, serve_options
from ..deploy.manifests import server as container_of
from ..deploy.upstream import Reply, Upstream, running_upstream

MACHINE = Machine(cores=2, gpus=0, workers=2, threads=1, predictions_per_s=20, explanations_per_s=0.5)
TOOLS = ("capacity", "neighbours", "overload", "pools", "soak")


@dataclass(frozen=True)
class StandIn:
    """What a tool asks of a server that it has started."""

    inference_url: str


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running_upstream() as upstream:
        yield upstream


@pytest.fixture
def asker(upstream: Upstream) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{upstream.address}", trust_env=False) as client:
        yield client


@pytest.mark.parametrize("name", TOOLS)
def test_a_page_in_the_place_of_its_figures_is_refused(name: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(import_module(f"tools.load.{name}").app, ["--out", str(tmp_path / "page.json")])
    assert done.exit_code == 2, done.exception
    assert "where the figures go" in " ".join(done.output.split())
    assert list(tmp_path.iterdir()) == []


def in_front_of(found: object, tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the tool measure this server instead of one that it starts."""

    @contextmanager
    def served(_: int) -> Iterator[object]:
        yield found

    monkeypatch.setattr(tool, "served", served)


@pytest.mark.parametrize("name", TOOLS)
def test_each_tool_says_what_it_writes(name: str) -> None:
    done = CliRunner().invoke(import_module(f"tools.load.{name}").app, ["--help"])
    assert done.exit_code == 0
    assert "--out" in done.output


@pytest.mark.parametrize("name", TOOLS)
def test_a_page_that_cannot_be_written_is_told_before_anything_starts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no net to serve, which is what a tool says that starts its server first."""
    monkeypatch.setenv("COLUMNS", "500")
    tool = import_module(f"tools.load.{name}")
    monkeypatch.setattr(tool if hasattr(tool, "MODEL_STORE") else service, "MODEL_STORE", tmp_path)
    (tmp_path / "file").touch()
    done = CliRunner().invoke(tool.app, ["--out", str(tmp_path / "file" / "page.md")])
    assert done.exit_code == 2, done.exception
    assert f"--out: {tmp_path / 'file'}: no files can be made in it" in done.output.replace("'", "")


def test_the_folder_of_a_page_is_made_when_there_is_a_page(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.md"
    assert in_a_writable_folder(path) == path
    assert list(tmp_path.iterdir()) == []
    save(path, "a page\n", {"facts": 1})
    assert path.read_text() == "a page\n"
    assert json.loads((tmp_path / "new" / "page.json").read_text()) == {"facts": 1}


@pytest.mark.parametrize("layout", ["foo", "2", "2x", "0x1", "2x1x1", "-1x1"])
def test_a_layout_that_is_none_is_told_before_anything_starts(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setattr(capacity, "MODEL_STORE", tmp_path)
    line = ["--out", str(tmp_path / "page.md"), "--layout", "2x1", "--layout", layout]
    done = CliRunner().invoke(capacity.app, line)
    assert done.exit_code == 2, done.exception
    assert f"--layout: {layout} is not WORKERSxTHREADS, such as 2x1" in done.output


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


def test_the_pools_ask_for_the_memory_of_the_plan() -> None:
    """Which is what a node is paid for; for a moment they may take more."""
    for pool in ("predict", "explain"):
        container = container_of(of_kind(built("kubernetes/overlays/cpu"), "Deployment")[f"zfnet-{pool}"])
        workers = serve_options(container["args"])["workers"] or 1  # on a CPU
        assert container["resources"]["requests"]["memory"] == f"{replace(MACHINE, workers=workers).gib}Gi"


def test_the_pool_on_cards_asks_for_the_memory_of_the_plan() -> None:
    """Of one worker on its card: CUDA's own 5 GiB come to the rest."""
    container = container_of(of_kind(built("kubernetes/overlays/gpu"), "Deployment")["zfnet-explain"])
    assert container["resources"]["requests"]["memory"] == f"{replace(MACHINE, gpus=1, workers=1).gib}Gi" == "8Gi"


def test_a_million_answers() -> None:
    assert per_million(3.6, 1) == "1000.00"


def test_rates_and_percentiles() -> None:
    seen = Seen([0.1] * 99 + [2], elapsed=10)
    assert (seen.rate, seen.median) == (10, 0.1)
    assert seen.p99 == pytest.approx(0.1 + 0.01 * 1.9)
    assert Seen([0.1], elapsed=1).p99 == 0.1
    assert together([Seen([0.1, 0.2], 1), Seen([0.3], 4)]) == Seen([0.1, 0.2, 0.3], 5)
    assert overload.row("all", Seen([0.001, 0.002, 0.004], 1)) == ("all", 3, 2.0, 4.0, 4.0)


def test_growth_is_that_after_warming_up() -> None:
    assert soak.growth([1, 100, 100, 100, 110, 110, 110]) == pytest.approx(0.1)
    assert soak.growth([7]) == 0


def test_rows_and_pages_tell_what_was_seen() -> None:
    idle, busy = [Seen([0.01, 0.01], 1)], [Seen([0.02, 0.04], 1)]
    rows = pools.summary({"two pools": {"idle": idle, "explaining": busy}})
    assert [(row["median_ms"], row["times_idle"]) for row in rows] == [(10, 1), (30, 3)]
    stop = Stop({200: 90, 503: 2}, by_the_leaving=7, not_ready_s=0.5, ended_s=4, exit_code=0)
    assert "| requests failed | 2 |" in paragraph(stop)
    assert rows[1]["p99_ms"] == 39.8
    assert page("Load", "hand", {"cores": 2}, table(["a", "b"], [(1, 2.5)]), ["more"]) == (
        "# Load, as measured\n\nWritten by hand.\n\n- cores: 2\n\n| a | b |\n| --- | --- |\n| 1 | 2.5 |\n\nmore\n"
    )
    point = capacity.Point(PREDICT, 4, 80, 10.0, 40.0, 90.0)
    layout = capacity.Layout(2, 1, 5.0, [800, 900], 300, [point, replace(point, clients=1, rate=8), explained(point)])
    assert next(capacity.rows([layout])) == ("2 x 1", 5.0, 900, 300, "predictions", 4, "10.00", "40", "90")
    slower = replace(layout, workers=1, points=[replace(point, rate=9)])
    for layouts in ([layout, slower], [slower, layout]):
        assert capacity.best(layouts, PREDICT, cores=2) == "10/s, 5/s a core, with 2 x 1"
    found = neighbours.row(2, neighbours.Beside([Seen([0.02, 0.04], 4)], explained=6), idle[0])
    assert list(found.values()) == [2, 2, 30.0, 39.8, 3.98, 1.5]
    assert len(found) == len(neighbours.COLUMNS)


def test_a_point_has_what_its_clients_saw(asker: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "at_once", lambda *_: Seen([0.01, 0.02, 0.06], elapsed=2))
    assert capacity.point(asker, PREDICT, 4, 8) == capacity.Point(PREDICT, 4, 3, 1.5, 20.0, 59.2)


def explained(point: capacity.Point) -> capacity.Point:
    return replace(point, path=EXPLAIN, rate=0.5)


def test_clients_ask_so_often_or_so_long(upstream: Upstream, asker: httpx.Client) -> None:
    assert len(in_turn(asker, PREDICT, 3).seconds) == len(upstream.seen) == 3
    seen = at_once(asker, EXPLAIN, clients=2, seconds=0.1)
    assert len(seen.seconds) == len(upstream.seen) - 3 >= 2
    assert seen.elapsed >= 0.1
    assert len(asyncio.run(overload.flood(f"http://{upstream.address}{PREDICT}", rate=100, seconds=0.1))) == 10
    upstream.reply = Reply(503)
    with pytest.raises(RuntimeError, match=r"^/predictions/zfnet: 503"):
        in_turn(asker, PREDICT, 1)


def test_neighbours_ends_with_a_page(upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_front_of(StandIn(f"http://{upstream.address}"), neighbours, monkeypatch)
    line = ["--out", str(tmp_path / "page.md"), "--rounds", "1", "--predictions", "10"]
    CliRunner().invoke(neighbours.app, line)
    rows = json.loads((tmp_path / "page.json").read_text())["rows"]
    assert [(row["explaining"], row["predictions"]) for row in rows] == [(0, 10), (1, 10), (2, 10), (4, 10)]
    assert "| 4 | 10 | " in (tmp_path / "page.md").read_text()


def test_overload_ends_with_a_page(upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_front_of(StandIn(f"http://{upstream.address}"), overload, monkeypatch)
    monkeypatch.setattr(overload, "MEASURE_S", 0.1)
    monkeypatch.setattr(overload, "AGAIN_S", 0.1)
    monkeypatch.setattr(overload, "TIMES", 0.2)
    CliRunner().invoke(overload.app, ["--out", str(tmp_path / "page.md"), "--seconds", "1"])
    statuses = json.loads((tmp_path / "page.json").read_text())["statuses"]
    assert statuses.keys() == {"200"}
    assert f"| flooded: 200 | {statuses['200']} | " in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize(("times", "code"), [(3, 0), (3.1, 1)])
def test_neighbours_fails_where_one_explaining_client_slows_predictions_too_much(
    times: float, code: int, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them may."""
    in_front_of(StandIn(f"http://{upstream.address}"), neighbours, monkeypatch)
    seconds = {0: 1.0, 1: times, 2: 50.0, 4: 100.0}

    def measure(_: object, explaining: int, __: int, into: neighbours.Beside) -> None:
        into.blocks.append(Seen([seconds[explaining]], 1))

    monkeypatch.setattr(neighbours, "measure", measure)
    assert CliRunner().invoke(neighbours.app, ["--out", str(tmp_path / "page.md")]).exit_code == code


@pytest.mark.parametrize(
    ("statuses", "again", "code"),
    [
        (["200", "503"], [0.01], 0),
        (["200", "503", "ReadTimeout"], [0.01], 1),
        (["200", "500"], [0.01], 1),
        (["200"], [4.9, 0.01], 0),
        (["200"], [5.1, 0.01], 1),
        (["200"], [0.02], 1),
    ],
    ids=["refused", "hung", "failed", "slow at first", "slow for too long", "never again as quick"],
)
def test_overload_fails_where_a_request_hangs_or_the_speed_does_not_come_back(
    statuses: list[str], again: list[float], code: int, upstream: Upstream, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A client had answers in 10 ms before; `again` are its first seconds afterwards, the last of which stay."""
    in_front_of(StandIn(f"http://{upstream.address}"), overload, monkeypatch)
    alone = iter([Seen([0.01], 1), Seen([0.01] * 100, 1), Seen([*again, *again[-1:] * (100 - len(again))], 1)])

    async def flood(*_: object) -> list[overload.Outcome]:
        return [overload.Outcome(status, 0.1) for status in statuses]

    monkeypatch.setattr(overload, "in_turn", lambda *_: next(alone))
    monkeypatch.setattr(overload, "at_once", lambda *_: Seen([0.01], 1))
    monkeypatch.setattr(overload, "flood", flood)
    done = CliRunner().invoke(overload.app, ["--out", str(tmp_path / "page.md")])
    assert done.exit_code == code, done.output


@pytest.mark.parametrize(("statuses", "left", "code"), [({}, {1, 2}, 0), ({}, {1, 3}, 1), ({200: 500}, {1, 2}, 1)])
def test_soak_fails_where_an_answer_is_not_as_it_should_be_or_a_worker_is_lost(
    statuses: dict[int, int], left: set[int], code: int, upstream: Upstream, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Bad requests are refused, or good ones fail; a client begins with one of those."""
    in_front_of(StandIn(f"http://{upstream.address}"), soak, monkeypatch)
    kinds = [replace(kind, picture=f"a {kind.status}".encode()) for kind in soak.KINDS]
    monkeypatch.setattr(soak, "KINDS", kinds)

    def answer(body: bytes) -> Reply:
        [status] = {kind.status for kind in kinds if kind.picture + b"\r\n" in body}
        return Reply(statuses.get(status, status))

    upstream.reply = answer
    workers = iter([{1, 2}, left])
    monkeypatch.setattr(soak, "worker_pids", lambda _: next(workers))
    monkeypatch.setattr(soak, "held", lambda _: service.Held(100.0, 50.0, 20))
    done = CliRunner().invoke(soak.app, ["--out", str(tmp_path / "page.md"), "--minutes", "1", "--step-seconds", "1"])
    assert done.exit_code == code, done.output
    found = json.loads((tmp_path / "page.json").read_text())
    assert found["facts"]["workers lost"] == str(len({1, 2} - left))
    assert (found["steps"][0]["failed"] > 0) == bool(statuses)
    assert ("prediction: 500" in found["facts"]["not answered as they should be"]) == bool(statuses)


def test_soak_finds_a_real_server_well(server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_front_of(server, soak, monkeypatch)
    done = CliRunner().invoke(soak.app, ["--out", str(tmp_path / "page.md"), "--minutes", "1", "--step-seconds", "1"])
    assert done.exit_code == 0, done.output
    [step] = json.loads((tmp_path / "page.json").read_text())["steps"]
    assert step["answered"] > 0 == step["failed"]
    assert min(step["held"].values()) > 0
