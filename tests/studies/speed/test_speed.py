"""The bench measures what it says: counts by hand, the same work on all sides, clocks that are told what to say."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from captum.attr import NeuronDeconvolution, Occlusion
from torch import Tensor, nn

from zfnet_explainer.cores import usable_cores
from zfnet_explainer.methods.incremental.plan import Way
from zfnet_explainer.methods.occlusion import OcclusionMaps
from zfnet_explainer.methods.squares import Squares, squares
from zfnet_explainer.net.checkpoint import save
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.service.answer import Answer
from zfnet_explainer.studies.speed import (
    contenders,
    interleaved,
    machine,
    occlusion,
    projections,
    requests,
    results,
    rivals,
    start,
)
from zfnet_explainer.studies.speed.floor import multiply_adds
from zfnet_explainer.studies.speed.memory import of_first_map
from zfnet_explainer.studies.speed.requests import RequestsRow, fresh_pictures
from zfnet_explainer.studies.speed.start import StartRow
from zfnet_explainer.torchserve.archive import WorkerOptions
from zfnet_explainer.torchserve.config import ServerOptions
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.wire.request import Incoming

from ... import narrow
from ...chains import SMALL, chain_of, picture, seeded, small
from ...deploy.upstream import running_upstream
from ...served import RECORD, service
from . import peaks

CPU = torch.device("cpu")
SAMPLE = occlusion.SAMPLE["cpu"]


def test_multiply_adds_by_hand() -> None:
    """A 2 x 2 square in a corner touches 3 x 3 outputs of a 3 x 3 kernel padded by 1, of 12 x 10 in the end."""
    chain = chain_of((1, 12, 10), nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2))
    linear = 2 * 6 * 5 * 12 + 12 * 5
    corner, inside = Squares(2, 1, (0,), (0,)), Squares(2, 1, (4,), (4,))
    assert multiply_adds(chain, corner) == 3 * 3 * 9 * 2 + linear
    assert multiply_adds(chain, inside) == 4 * 4 * 9 * 2 + linear
    assert multiply_adds(chain, Squares(2, 4, (0, 4), (0, 4))) == 7 * 7 * 9 * 2 + 4 * linear


@pytest.mark.parametrize(("window", "stride"), [(32, 8), (50, 4), (64, 8), (16, 4)])
def test_the_thinned_grid_is_part_of_the_grid(window: int, stride: int) -> None:
    grid, thin = squares(224, 224, window, stride), contenders.sample(224, window, stride, SAMPLE)
    assert set(thin.tops) <= set(grid.tops)
    assert len(thin) > 25
    assert thin.stride <= window, "Captum lays no wider grid"
    assert len(thin) <= SAMPLE or thin.stride + stride > window


def test_captum_lays_as_many_squares_as_counted() -> None:
    seen = []

    def count(x: Tensor) -> Tensor:
        seen.append(len(x))
        return x.flatten(1).sum(1)

    for window, stride in ((16, 7), (10, 10), (9, 8)):
        seen.clear()
        image = picture(chain_of((3, 37, 37), nn.Conv2d(3, 2, 3), nn.ReLU()))
        Occlusion(count).attribute(image[None], (3, window, window), (3, stride, stride), perturbations_per_eval=4)
        laid = occlusion.laid_by_captum(Squares(window, stride, (0,), (0,)), 37)
        assert sum(seen[1:]) == laid  # the first is the picture itself


MEMORY = 3 << 20


def no_memory(*_: object) -> int:
    """Spares the new process, which takes seconds to start."""
    return MEMORY


def clock(monkeypatch: pytest.MonkeyPatch, *times: float) -> None:
    """Works are done, and are said to have taken these seconds, one after the other."""
    left = iter(times)

    def seconds(work: Callable[[], object], _: torch.device) -> float:
        work()
        return next(left)

    for module in (occlusion, interleaved):
        monkeypatch.setattr(module, "seconds", seconds)


HERE = machine.Machine("here", None, 1, "", "", "", {"float32": 1.0, "bfloat16": 2.0})


def test_the_ways_find_the_same_and_their_times_are_for_the_same_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours lays all 36 squares of the grid, 6 x 6; ours in full 3 x 3 of them; Captum 4 x 4, one of them cut."""
    monkeypatch.setitem(occlusion.SAMPLE, "cpu", 9)
    monkeypatch.setitem(contenders.CAPTUM_BATCHES, "cpu", (2, 5))
    monkeypatch.setattr(occlusion, "of_first_map", no_memory)
    batches, first, rounds = (8, 7), (100, 100, 100, 100), ((1, 2, 4, 16), (9, 9, 9, 9), (0, 1, 1, 8))
    clock(monkeypatch, *batches, *first, *(time for times in rounds for time in times))
    monkeypatch.setattr(contenders, "autotune", lambda _: {Way.FULL: 5.0})
    seen = noted_flags(monkeypatch)
    row = occlusion.measure(small, occlusion.Case("small", 10, 5, "float32"), HERE, CPU, repeats=3)
    assert seen == {(False, "highest", False), (False, "highest", True)}, "timed with any algorithm, compared as ours"
    assert (row.way, row.ways) == (Way.ONE_GROUP, {Way.FULL: 5.0})
    assert (row.positions, row.captum_batch) == (36, 5)
    assert (row.incremental, row.full) == (1, 2 * 36 / 9)
    assert (row.captum, row.captum_tuned) == (4 * 36 / 16, 9 * 36 / 16)
    assert (row.float32, row.memory) == (None, MEMORY)
    assert row.logit_deviation < 1e-5
    assert row.probability_deviation < 1e-5


def test_the_floor_is_that_of_the_peak_in_the_cases_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """7 x 7 squares of 8 touch 10 rows of outputs each, but 9 at a border: 68 in all, and as many columns."""
    monkeypatch.setitem(contenders.CAPTUM_BATCHES, "cpu", (2,))
    monkeypatch.setattr(occlusion, "of_first_map", no_memory)
    multiplications = 68 * 68 * (4 * 3 * 9) + 49 * (4 * 16 * 16 * 12 + 12 * 5)
    row = occlusion.measure(small, occlusion.Case("small", 8, 4, "float32"), HERE, CPU, repeats=1)
    assert row.floor == pytest.approx(2 * multiplications / 1e9)
    clock(monkeypatch, *[100] * 5, 3, 1, 1, 1, 5)
    row = occlusion.measure(small, occlusion.Case("small", 8, 4, "bfloat16"), HERE, CPU, repeats=1)
    assert row.floor == pytest.approx(multiplications / 1e9)
    assert (row.incremental, row.float32) == (3, 5), "a reduced precision is compared with float32"
    assert 1e-5 < row.logit_deviation < 0.1


def test_the_quickest_batch_is_that_of_the_least_of_several_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first time of the quicker one is slow, and so are two of three of the other."""
    monkeypatch.setitem(occlusion.TRIES, "cpu", 3)
    clock(monkeypatch, 2, 9, 9, 9, 3, 1)
    grid = squares(8, 8, 4, 4)
    assert occlusion.quickest(lambda batch: lambda _: batch, {"cpu": (16, 64)}, grid, CPU) == 64


def test_the_peak_is_that_of_numbers_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine.MATRIX, "cpu", 64)
    found: list[Tensor] = []

    def seconds(work: Callable[[], Tensor], _: torch.device) -> float:
        found.append(work())
        return 1e-3

    monkeypatch.setattr(machine, "seconds", seconds)
    for dtype in (torch.float32, torch.bfloat16):
        assert machine.peak(CPU, dtype) == pytest.approx(2 * 64**3 / 1e-3 / 1e9)
    times = iter([9.0] * 12 + [1, 5, 3, 2, 4] + [6.0] * 8)
    monkeypatch.setattr(machine, "seconds", lambda *_: next(times))
    assert machine.peak(CPU, torch.float32) == pytest.approx(2 * 64**3 / 3 / 1e9), "the median of the fastest fifth"
    assert all(len({*one.flatten().tolist()}) > 64 for one in found)


@pytest.mark.slow
def test_memory_is_that_of_the_work_alone_in_a_process_of_its_own(tmp_path: Path) -> None:
    grid = squares(32, 32, 8, 3)
    found = of_first_map(partial(peaks.wide, tmp_path / "steps.json"), grid, CPU, torch.float32)
    assert found is not None
    assert 4 * len(grid) * peaks.CLASSES <= found < peaks.WEIGHTS, "the map's logits are in it, the net is not"
    rounds = json.loads((tmp_path / "steps.json").read_text())
    assert len(rounds) == peaks.ROUNDS
    for found in rounds:
        for step, held in zip(peaks.STEPS, found, strict=True):
            assert held == pytest.approx(step << 20, abs=16 << 20)


def test_plain_is_the_chain_as_torch_has_it() -> None:
    chain = contenders.timed(SMALL["like_zfnet"](0), CPU, torch.float32).chain
    net = contenders.plain(chain)
    for ours, theirs in zip(chain.parameters(), net.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        assert theirs.is_contiguous()
    assert not all(weight.is_contiguous() for weight in chain.parameters())
    assert any(isinstance(layer, nn.LocalResponseNorm) for layer in net)
    x = picture(chain)[None]
    torch.testing.assert_close(net(x), chain(x), rtol=1e-5, atol=1e-5)


def test_projections_are_timed_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []
    attribute = NeuronDeconvolution.attribute

    def counted(self: NeuronDeconvolution, x: Tensor, cell: tuple[int, ...]) -> Tensor:
        asked.append(cell)
        found: Tensor = attribute(self, x, cell)
        return found

    monkeypatch.setattr(NeuronDeconvolution, "attribute", counted)
    clock(monkeypatch, 100, 100, 1, 10, 3, 30, 2, 60)
    on = contenders.timed(SMALL["like_zfnet"](0), CPU, torch.float32)
    row = projections.measure("small", on, repeats=3)
    assert row == projections.ProjectionsRow("small", 2, 30)
    assert row.over_captum == 15
    assert {feature for feature, *_ in asked} == set(range(7)), "its last layer has seven maps"
    assert len(asked) == 7 * (1 + 3)


def test_requests_are_timed_in_turn_on_pictures_that_none_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(requests.WARM_UP, "predictions", 1)
    clock(monkeypatch, 100, 100, 4, 1, 9, 3, 5, 2)
    here: list[bytes] = []
    served = service()
    answer = served.answer

    def kept(incoming: list[Incoming], ids: list[str]) -> list[Answer]:
        here.extend(one.fields["data"] for one in incoming)
        return answer(incoming, ids)

    monkeypatch.setattr(served, "answer", kept)
    with running_upstream() as upstream:
        row = requests.measure(served, f"http://{upstream.address}", "predictions", repeats=3)
    assert row == requests.RequestsRow("predictions", 5, 2), "the first round does not count"
    assert row.ratio == 2.5
    assert [seen.path for seen in upstream.seen] == ["/predictions/zfnet"] * 4
    there = [seen.body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0] for seen in upstream.seen]
    assert len({*here, *there}) == 4 + 4
    for one in (*here, *there):
        assert decode(one, 224).pixels.shape == (224, 224, 3)


def test_starts_are_timed_in_turn_and_the_first_of_each_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers stand in here: `test_bench_command.py` starts real ones."""
    started: list[str] = []

    @contextmanager
    def stand_in(archive: Path, _: Path, __: ServerOptions) -> Iterator[SimpleNamespace]:
        started.append(archive.name)
        with running_upstream() as upstream:
            yield SimpleNamespace(inference_url=f"http://{upstream.address}")
        assert [seen.path for seen in upstream.seen] == ["/predictions/zfnet"]

    monkeypatch.setattr(start, "running_server", stand_in)
    clock(monkeypatch, 100, 100, 6, 3, 8, 2, 7, 4)
    weights = tmp_path / "net.safetensors"
    save(seeded(narrow.zfnet(3, {}), 0), RECORD, weights)
    row = start.measure(weights, WorkerOptions(device=Device.CPU), tmp_path, repeats=3)
    assert row == start.StartRow(7, 3)
    assert row.ratio == 7 / 3
    assert started == ["ours.mar", "empty.mar"] * 4


@pytest.mark.parametrize(("device", "gpus"), [(Device.CPU, 0), (Device.CUDA, 1)])
def test_a_server_has_the_gpu_that_its_worker_computes_on(device: Device, gpus: int) -> None:
    assert start.beside(WorkerOptions(device=device)).gpus == gpus


def test_fresh_pictures_differ() -> None:
    first, second = fresh_pictures(2)
    assert first != second
    assert decode(first, 224).pixels.shape == (224, 224, 3)


def test_a_system_that_counts_neither_cores_nor_memory_as_linux_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(machine, "CLEAR_REFS", tmp_path / "none")
    assert machine.describe(CPU, ()).device.endswith(f", {usable_cores()} cores")
    assert machine.peak_memory(lambda: torch.ones(1), CPU) is None


ROW = occlusion.Row(
    occlusion.Case("zfnet", 32, 8, "float32"), 625, 0.5, 5.0, 32, 10.0, 16, 8.0, None, 1e-6, 1e-7, 3 << 20, 0.25,
    Way.ONE_GROUP, {Way.FULL: 0.6, Way.ONE_GROUP: 0.5},
)  # fmt: skip
A_PROCESSOR = machine.Machine("a processor", None, 2, "system", "3", "2", {"float32": 100.0})


def test_results_are_saved_whole(tmp_path: Path) -> None:
    rival = rivals.RivalRow("zfnet", 32, 8, 625, "Captum, float32", 16, 10.0, None)
    projection = projections.ProjectionsRow("zfnet", 1, 2)
    found = results.Results(
        A_PROCESSOR, 3, [ROW], [rival], [projection], [RequestsRow("predictions", 0.06, 0.05)], [StartRow(6.0, 4.0)]
    )
    saved = json.loads(found.save(tmp_path).read_text())
    assert saved["occlusion"][0]["case"]["window"] == 32
    assert saved["machine"]["device"] == "a processor"
    assert results.Results.loaded(saved) == found


def test_tables_have_what_was_measured() -> None:
    """The first row is in float32; the second in bfloat16, on a system that does not count memory."""
    half = replace(
        ROW, case=replace(ROW.case, precision="bfloat16"), incremental=0.25, float32=0.5, full=1.5, memory=None
    )
    rival = rivals.RivalRow("zfnet", 32, 8, 625, "full batches, TF32", 16, 1.25, 2e-4)
    found = results.Results(
        A_PROCESSOR, 3, [ROW, half], [rival, replace(rival, way="Captum, float32", probability_deviation=None)],
        [projections.ProjectionsRow("vgg16", 0.02, 1.5)], [RequestsRow("predictions", 0.06, 0.05)],
        [StartRow(6.0, 4.0)],
    )  # fmt: skip
    occlusions, others, projected, requests, starts = found.tables()
    note = "a processor, 2 threads, Python 3, torch 2; matrix product: float32 100 GFLOP/s. Medians of 3 interleaved"
    assert occlusions.note.startswith(note)
    assert others.note == occlusions.note
    cells = dict(zip(occlusions.columns, occlusions.rows[0], strict=True))
    assert cells == {
        "net": "zfnet", "window/stride": "32/8", "precision": "float32", "squares": "625", "time": "500.0 ms",
        "squares/s": "1,250", "× full": "10.0", "× Captum (its batch)": "20.0 (16)", "× Captum, tuned": "16.0",
        "share of floor": "50 %", "logits off": "1e-06", "probability off": "1e-07", "memory": "3 MiB",
    }  # fmt: skip
    cells = dict(zip(occlusions.columns, occlusions.rows[1], strict=True))
    assert (cells["precision"], cells["× full"], cells["memory"]) == ("bfloat16: 2.0 × float32", "6.0", "–")
    assert others.columns == (
        "net", "window/stride", "way", "squares at a time", "time", "squares/s", "probability off"
    )  # fmt: skip
    assert others.rows == (
        ("zfnet", "32/8", "full batches, TF32", "16", "1.25 s", "500", "2e-04"),
        ("zfnet", "32/8", "Captum, float32", "16", "1.25 s", "500", "–"),
    )
    assert projected.rows == (("vgg16", "20.0 ms", "1.50 s", "75.0"),)
    assert requests.rows == (("predictions", "60.0 ms", "50.0 ms", "1.20"),)
    assert starts.rows == (("6.00 s", "4.00 s", "1.50"),)


def test_deviations_are_the_largest() -> None:
    """Of two classes and two squares: one agrees, the other has its logits the other way round."""
    expected = OcclusionMaps(torch.tensor([[[4.0, 0.0], [1.0, 0.0]]]), torch.zeros(1, 2))
    found = OcclusionMaps(torch.tensor([[[4.0, 0.0], [0.0, 1.0]]]), torch.zeros(1, 2))
    probability = 1 - 2 / (1 + math.e)
    assert occlusion._deviations(found, expected) == pytest.approx((1 / 4, probability))
    assert rivals._deviation(found, expected) == pytest.approx(probability)


def test_a_card_is_named_with_its_driver() -> None:
    assert str(replace(A_PROCESSOR, device="a card", driver="580.1", peak_gflops={})) == (
        "a card, 2 threads, driver 580.1, Python 3, torch 2"
    )


def test_rivals_are_timed_in_their_best_batch_for_the_same_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours lays all 36 squares, in full 3 x 3 of them, Captum 4 x 4; its batch of 5 is quicker, and full ones of 3."""
    monkeypatch.setitem(occlusion.SAMPLE, "cpu", 9)
    monkeypatch.setitem(contenders.CAPTUM_BATCHES, "cpu", (2, 5))
    monkeypatch.setitem(contenders.FULL_BATCHES, "cpu", (3, 9))
    seen = noted_flags(monkeypatch)
    batches = (8, 7), (8, 7), (3, 4), (3, 4), (3, 4)
    clock(monkeypatch, *(time for pair in batches for time in pair), *[100] * 6, 1, 16, 32, 9, 18, 27)
    found = rivals.measure("small", small, 10, 5, CPU, repeats=1)
    assert [(row.way.partition(" (")[0], row.batch, row.seconds) for row in found] == [
        ("ours, float32", None, 1),
        ("Captum as installed", 5, 36),
        ("Captum, float32", 5, 72),
        ("full batches, float32", 3, 36),
        ("full batches, TF32", 3, 72),
        ("full batches, bfloat16", 3, 108),
    ]
    assert [row.positions for row in found] == [36] * 6
    exact, *_, half = (row.probability_deviation for row in found if row.probability_deviation is not None)
    assert exact < 1e-5 < half < 0.1
    assert [row.probability_deviation is None for row in found[1:3]] == [True, True]
    free = {(False, "highest", False), (True, "highest", False), (True, "high", False)}
    assert seen == {*free, (False, "highest", True)}, "no TF32, Captum's, and all; what is compared is as ours"
    assert flags() == (False, "highest", True)


def flags() -> tuple[bool, str, bool]:
    """TF32 in convolutions, the precision of products, and whether cuDNN's algorithms are deterministic."""
    cudnn = torch.backends.cudnn
    return cudnn.allow_tf32, torch.get_float32_matmul_precision(), cudnn.deterministic


def noted_flags(monkeypatch: pytest.MonkeyPatch) -> set[tuple[bool, str, bool]]:
    """What is allowed while each way but ours runs."""
    machine.describe(CPU, ())
    seen: set[tuple[bool, str, bool]] = set()

    def noting(build: Callable[..., contenders.Contender]) -> Callable[..., contenders.Contender]:
        def built(*arguments: object, **options: object) -> contenders.Contender:
            way = build(*arguments, **options)

            def run(grid: Squares) -> object:
                seen.add(flags())
                return way(grid)

            return run

        return built

    for name in ("captum", "full"):
        monkeypatch.setattr(contenders, name, noting(getattr(contenders, name)))
    return seen
