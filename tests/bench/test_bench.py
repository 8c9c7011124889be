"""The bench measures what it says: counts by hand, the same work on all sides, its command on small nets."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from captum.attr import Occlusion
from torch import Tensor, nn
from typer.testing import CliRunner

from zfnet_explainer.bench import machine, nets, occlusion, projections, results, ways
from zfnet_explainer.bench.floor import multiply_adds
from zfnet_explainer.bench.requests import RequestsRow, fresh_pictures
from zfnet_explainer.bench.start import StartRow
from zfnet_explainer.commands.main import app
from zfnet_explainer.cores import usable_cores
from zfnet_explainer.methods.squares import Squares, squares
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.wire.image import decode

from ..chains import SMALL, chain_of, picture, small

CPU = torch.device("cpu")


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
    grid, thin = squares(224, 224, window, stride), ways.sample(224, window, stride, occlusion.SAMPLE)
    assert set(thin.tops) <= set(grid.tops)
    assert len(thin) > 25
    assert thin.stride <= window, "Captum lays no wider grid"
    assert len(thin) <= occlusion.SAMPLE or thin.stride + stride > window


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


def no_memory(*_: object) -> int:
    """Spares the new process, which takes seconds to start."""
    return 0


HERE = machine.Machine("here", 1, "", "", "", {"float32": 1.0, "bfloat16": 2.0})


def test_the_ways_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "CAPTUM_BATCHES", (2, 5))
    row = occlusion.measure(small, occlusion.Case("small", 8, 4, "float32"), HERE, CPU, repeats=1)
    assert row.positions == 49
    assert row.captum_batch in (2, 5)
    assert 0 < row.logit_deviation < 1e-5 or row.logit_deviation == 0
    assert row.floor == 2 * multiply_adds(small(), squares(32, 32, 8, 4)) / 1e9
    assert row.over_full == row.full / row.incremental
    assert min(row.incremental, row.full, row.captum, row.captum_tuned) > 0
    assert row.float32 is None
    assert row.memory is not None
    assert 0 < row.memory < 1 << 30


def test_a_reduced_precision_is_compared_with_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "CAPTUM_BATCHES", (2,))
    monkeypatch.setattr(occlusion, "of_first_map", no_memory)
    row = occlusion.measure(small, occlusion.Case("small", 8, 4, "bfloat16"), HERE, CPU, repeats=1)
    assert row.float32 is not None
    assert row.float32 > 0
    assert 1e-5 < row.logit_deviation < 0.1
    assert row.floor == multiply_adds(small(), squares(32, 32, 8, 4)) / 1e9


def test_plain_is_the_chain_as_torch_has_it() -> None:
    chain = ways.subject(SMALL["like_zfnet"](0), CPU, torch.float32).chain
    net = ways.plain(chain)
    for ours, theirs in zip(chain.parameters(), net.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        assert theirs.is_contiguous()
    assert not all(weight.is_contiguous() for weight in chain.parameters())
    assert any(isinstance(layer, nn.LocalResponseNorm) for layer in net)
    x = picture(chain)[None]
    torch.testing.assert_close(net(x), chain(x), rtol=1e-5, atol=1e-5)


def test_projections() -> None:
    on = ways.subject(SMALL["like_zfnet"](0), CPU, torch.float32)
    row = projections.measure("small", on, repeats=1)
    assert row.over_captum == row.captum / row.ours > 0


def test_fresh_pictures_differ() -> None:
    pictures = fresh_pictures()
    first, second = next(pictures), next(pictures)
    assert first != second
    assert decode(first, 224).pixels.shape == (224, 224, 3)


def test_peak_memory_sees_what_was_held() -> None:
    held = machine.peak_memory(lambda: torch.ones(64 << 20, dtype=torch.uint8).sum(), CPU)
    assert held is not None
    assert held > 60 << 20


def test_a_system_that_counts_neither_cores_nor_memory_as_linux_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(machine, "CLEAR_REFS", tmp_path / "none")
    assert machine.describe(CPU, ()).device.endswith(f", {usable_cores()} cores")
    assert machine.peak_memory(lambda: torch.ones(1), CPU) is None


def test_results_are_saved_whole(tmp_path: Path) -> None:
    case = occlusion.Case("zfnet", 32, 8, "float32")
    row = occlusion.Row(case, 625, 0.5, 5.0, 10.0, 16, 8.0, None, 1e-6, 1e-7, 3 << 20, 0.25)
    here = machine.Machine("a processor", 2, "system", "3", "2", {"float32": 100.0})
    found = results.Results(here, 3, [row], [], [RequestsRow("predictions", 0.06, 0.05)], [StartRow(6.0, 4.0)])
    saved = json.loads(found.save(tmp_path).read_text())
    assert saved["occlusion"][0]["case"]["window"] == 32
    assert saved["machine"]["device"] == "a processor"
    occlusions, requests, starts = found.tables()
    cells = dict(zip(occlusions.columns, occlusions.rows[0], strict=True))
    assert occlusions.note.startswith("a processor, 2 threads, Python 3, torch 2; matrix product: float32 100 GFLOP/s")
    assert cells["× full"] == "10.0"
    assert cells["× Captum (its batch)"] == "20.0 (16)"
    assert cells["share of floor"] == "50 %"
    assert cells["squares/s"] == "1,250"
    assert requests.rows == (("predictions", "60.0 ms", "50.0 ms", "1.20"),)
    assert starts.rows == (("6.00 s", "4.00 s", "1.50"),)


def named(_: str) -> Chain:
    return small()


def test_the_command_saves_what_it_measured_whatever_fails_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole requests need weights, which are missing here."""
    monkeypatch.setattr(nets, "net", named)
    monkeypatch.setattr(ways, "CAPTUM_BATCHES", (2,))
    monkeypatch.setattr(occlusion, "of_first_map", no_memory)
    options = ["--windows", "8", "--strides", "4,8", "--repeats", "1", "--weights", str(tmp_path / "none.safetensors")]
    done = CliRunner().invoke(app, ["bench", *options, "--out", str(tmp_path / "out")])
    assert done.exit_code != 0
    (file,) = (tmp_path / "out").iterdir()
    saved = json.loads(file.read_text())
    assert [row["case"]["stride"] for row in saved["occlusion"]] == [4, 8]
    assert saved["projections"][0]["captum"] > 0
    assert saved["requests"] == []
