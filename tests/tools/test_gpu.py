"""The measurement of a card, rehearsed on the CPU: every stage, what is kept where one fails, and the pages' tables."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
import torch
from tools.gpu import __main__ as gpu
from tools.gpu import serving
from tools.gpu.stages import MODULES, perform
from tools.gpu.tables import NOT_MEASURED, main, tables
from tools.gpu.task import Task
from tools.gpu.tested import counted
from tools.load import capacity

from zfnet_explainer.studies.speed import contenders, machine, occlusion
from zfnet_explainer.studies.speed.requests import RequestsRow
from zfnet_explainer.torchserve.config import ServerOptions
from zfnet_explainer.torchserve.server import RunningServer
from zfnet_explainer.training.recipe import Precision
from zfnet_explainer.wire.accept import MEDIA_TYPES

from ..waiting import wait_for


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """The rehearsal, with as little to do as the bench's own tests."""
    monkeypatch.setitem(machine.MATRIX, "cpu", 64)
    monkeypatch.setitem(contenders.CAPTUM_BATCHES, "cpu", (4,))
    monkeypatch.setattr(occlusion, "of_first_map", lambda *_: 3 << 20)
    return Task(torch.device("cpu"), tmp_path / "stage.json", tiny=True)


def figures(task: Task) -> dict[str, Any]:
    found = json.loads(task.file.read_text())
    assert found["tiny"]
    assert found["machine"] == asdict(task.machine)
    kept: dict[str, Any] = found["figures"]
    return kept


def test_the_stages_are_known_and_take_less_than_eight_minutes() -> None:
    assert set(gpu.BUDGETS) == set(MODULES)
    assert sum(gpu.BUDGETS.values()) < 480


def test_maps_of_zfnet(task: Task) -> None:
    perform("occlusion", task)
    [row] = figures(task)["occlusion"]
    assert row["case"] == {"net": "zfnet", "window": 112, "stride": 112, "precision": "float32"}
    assert row["logit_deviation"] < 1e-5


def test_rivals_and_projections(task: Task) -> None:
    perform("rivals", task)
    found = figures(task)
    assert [row["way"].partition(",")[0] for row in found["rivals"]] == [
        "ours", "Captum as installed (TF32)", "Captum", *["full batches"] * 3,
    ]  # fmt: skip
    assert len(found["projections"]) == 1


@pytest.mark.slow
def test_every_kind_of_answer(task: Task, server: RunningServer) -> None:
    found = serving.answers(server.inference_url, task)
    assert {one["answer"] for one in found} >= {"predictions", *MEDIA_TYPES, "V1 explain", "V2 infer"}
    assert [one["exact"] for one in found if "exact" in one] == [True, True]
    assert not [one for one in found if "error" in one]
    found = serving.answers(server.inference_url, replace(task, device=torch.device("cuda")))
    wrong = {one["answer"]: one["error"] for one in found if "error" in one}
    assert wrong == dict.fromkeys(("predictions", "json", "checked by Captum"), "computed on cpu, not on cuda")


def test_an_answer_that_is_refused_or_does_not_come_is_an_error(server: RunningServer) -> None:
    with httpx.Client(base_url=server.inference_url, trust_env=False, timeout=60) as client:
        found = serving._answer(client, "odd", "/predictions/zfnet", serving.JSON, {"content": b"x"}, "cpu")
    assert found["answer"] == "odd"
    assert re.match("415 application/json.*picture", str(found["error"]))
    with httpx.Client(base_url="http://127.0.0.1:1", trust_env=False) as client:
        found = serving._answer(client, "none", "/predictions/zfnet", serving.JSON, {"content": b"x"}, "cpu")
    assert found["answer"] == "none"
    assert "ConnectError" in str(found["error"])


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({}, None),
        ({"occlusion": {"exact": False}}, "its occlusion map is not exact"),
        ({"crosscheck": {"library": "captum", "deconv": {"agrees": False}}}, "deconv differs from Captum's"),
        ({"crosscheck": {"library": "captum", "deconv": {"agrees": None}, "occlusion": {"agrees": None}}}, None),
        ({"model": {"device": "cpu"}}, "computed on cpu, not on cuda"),
    ],
)
def test_an_answer_that_says_it_is_wrong_is_an_error(changed: dict[str, Any], error: str | None) -> None:
    body = {
        "model": {"device": "cuda:0 (a card)"}, "occlusion": {"exact": True},
        "crosscheck": {"library": "captum", "deconv": {"agrees": True}, "occlusion": {"agrees": True}},
    }  # fmt: skip
    assert serving.told(body | changed, "cuda").get("error") == error


def test_a_wrong_answer_costs_no_figures_and_fails_the_stage(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server stands in: it answers nothing, and its worker has logged why."""

    @contextmanager
    def stand_in(_: Path, run_dir: Path, __: ServerOptions) -> Iterator[SimpleNamespace]:
        (run_dir / "logs").mkdir(parents=True)
        (run_dir / "logs" / "model_log.log").write_text("CUDA error: no kernel image\n")
        yield SimpleNamespace(inference_url="http://127.0.0.1:1")

    monkeypatch.setattr(serving, "ensure_archive", lambda *_: None)
    monkeypatch.setattr(serving, "running_server", stand_in)
    monkeypatch.setattr(serving, "local_service", lambda *_: None)
    monkeypatch.setattr("tools.gpu.serving.requests.measure", lambda _, __, endpoint, ___: RequestsRow(endpoint, 2, 1))
    with pytest.raises(RuntimeError, match=r"(?s)^predictions: ConnectError.*\nV2 explain: ConnectError"):
        perform("served", task)
    kept = figures(task)
    assert len(kept["answers"]) == 10
    assert [row["endpoint"] for row in kept["bench"]["requests"]] == ["predictions", "explanations"]
    assert "CUDA error: no kernel image" in capsys.readouterr().out


@pytest.mark.slow
def test_tests_that_are_ended_leave_their_counts(tmp_path: Path) -> None:
    """The second one ends the stage, as a stage that is out of time is ended; the third is never run."""
    folder = tmp_path / "tests" / "gpu"
    folder.mkdir(parents=True)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu\n")
    (folder / "test_three.py").write_text(
        "import os, signal, pytest\npytestmark = pytest.mark.gpu\n"
        "def test_float32_is_float32_there(): pass\n"
        "def test_float32_is_float32_there_or_hangs(): os.killpg(0, signal.SIGINT); signal.pause()\n"
        "def test_float32_is_float32_there_after_all(): pass\n"
    )
    stage = f"Task(torch.device('cpu'), Path({str(tmp_path / 'tests.json')!r}), tiny=True)"
    code = f"import torch; from pathlib import Path; from tools.gpu.tested import Task, tests; tests({stage})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, start_new_session=True, text=True, capture_output=True,
        env=gpu._environment(), check=False,
    )  # fmt: skip
    assert done.returncode
    kept = json.loads((tmp_path / "tests.json").read_text())["figures"]
    assert kept == {"passed": 1, "failed": 0, "skipped": 0, "not_passed": {}}, done.stderr
    assert "::test_float32_is_float32_there_or_hangs" in done.stdout
    assert (tmp_path / "tests.xml").exists()


@pytest.mark.slow
def test_a_stage_that_fails_costs_no_other_ones_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine lacks a package that one stage needs and the other does not."""
    (tmp_path / "httpx.py").write_text("raise ImportError('none here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    asked = ["--device", "cpu", "--tiny", "--patience", "10", "--only", "served,training"]
    assert gpu.main([*asked, "--out", str(tmp_path / "out")]) == 1
    served = json.loads((tmp_path / "out" / "served.json").read_text())
    assert served.keys() == {"error"}
    assert "ImportError: none here" in served["error"]
    training = json.loads((tmp_path / "out" / "training.json").read_text())
    assert (training["tiny"], training.keys()) == (True, {"machine", "tiny", "figures"})
    assert training["figures"]["precision"] in {*Precision}
    assert [epoch["side"] for epoch in training["figures"]["epochs"]] == [224]
    assert "failed: served\n" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ends", "seconds", "error"),
    [
        ("raise MemoryError('no more')", 60, "ended with exit status 1\n"),
        ("signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)", 3, "took longer than its 3 s\n"),
    ],
)
def test_a_stage_that_fails_or_hangs_keeps_what_it_had_and_leaves_nothing_running(
    ends: str, seconds: float, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has started a server, which has a session of its own and would hold the card; its figures are its id."""
    monkeypatch.setattr(gpu, "STOPPING_S", 0.2)
    file = tmp_path / "stage.json"
    server = "subprocess.Popen(['sleep', '600'], start_new_session=True)"
    kept = f"open({str(file)!r}, 'w').write(json.dumps({{'figures': {server}.pid}}))"
    found = gpu.run([sys.executable, "-c", f"import json, signal, subprocess, time; {kept}; {ends}"], file, seconds)
    pid = json.loads(file.read_text())["figures"]
    try:
        wait_for(lambda: not alive(pid), "the server lives on", 10)
    finally:
        if alive(pid):
            psutil.Process(pid).kill()
    assert found is not None
    assert found.startswith(error)
    assert json.loads(file.read_text()) == {"figures": pid, "error": found}


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def test_a_stage_leaves_no_figures_of_another_run(tmp_path: Path) -> None:
    file = tmp_path / "stage.json"
    file.write_text('{"figures": "old"}')
    assert gpu.run([sys.executable, "-c", "raise SystemExit(3)"], file, 60) is not None
    assert "figures" not in json.loads(file.read_text())


def test_what_a_stage_leaves_of_its_time_the_next_one_may_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first takes 10 s of 20; the second 55, more than its 30 and those 10; the third has its own 5."""
    clock = iter([0.0, 10.0, 10.0, 65.0, 65.0, 66.0])
    given: list[float] = []
    monkeypatch.setattr(gpu, "BUDGETS", {"tests": 10, "served": 15, "load": 2.5})
    monkeypatch.setattr(gpu, "run", lambda _, __, seconds: given.append(seconds))
    monkeypatch.setattr(gpu, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert gpu.main(["--out", str(tmp_path), "--patience", "2"]) == 0
    assert given == [20, 40, 5]


def test_tests_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    """One without a name was interrupted."""
    cases = {"ok": "", "wrong": "<failure/>", "broken": "<error/>", "left": "<skipped/>"}
    written = "".join(f'<testcase classname="c" name="{name}">{told}</testcase>' for name, told in cases.items())
    (tmp_path / "report.xml").write_text(f"<testsuites><testsuite>{written}<testcase/></testsuite></testsuites>")
    assert counted(tmp_path / "report.xml") == {
        "passed": 1, "failed": 2, "skipped": 1,
        "not_passed": {"c::wrong": "failed", "c::broken": "failed", "c::left": "skipped"},
    }  # fmt: skip


def test_an_unknown_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--out", str(tmp_path), "--only", "tests,speed"])
    assert "--only speed: the stages are tests, served" in capsys.readouterr().err


PAGE = "".join(
    f"<!-- table: gpu-{name} -->\nold\n<!-- end -->\n" for name in ("occlusion", "training", "load", "rivals")
)


def filled(folder: Path) -> str:
    page = folder / "page.md"
    page.write_text(PAGE)
    main([str(folder), "--into", str(page)])
    return page.read_text()


def test_pages_have_what_was_measured_and_say_what_was_not(task: Task, tmp_path: Path) -> None:
    card = replace(task.machine, device="a card", driver="580.1")
    measured = replace(task, file=tmp_path / "training.json", tiny=False)
    object.__setattr__(measured, "machine", card)
    measured.keep({"precision": "bfloat16", "batch": 64, "epochs": [{"side": 128, "images_per_s": 4321.0}]})
    failed = {"error": "took longer than its 90 s"}
    (tmp_path / "occlusion.json").write_text(json.dumps(failed))
    page = filled(tmp_path)
    assert "| 128 | bfloat16 | 64 | 4,321 |" in page
    assert "a card" in page
    assert "driver 580.1" in page
    assert page.count(NOT_MEASURED) == 3
    assert "old" not in page


def test_the_pages_tables_of_load_and_tests(task: Task, tmp_path: Path) -> None:
    points = [capacity.Point("/explanations/zfnet", 2, 80, 9.87, 40.04, 90.12)]
    layout = asdict(capacity.Layout(4, 1, 5.0, [800.0], 300, points))
    counts = {"passed": 31, "failed": 2, "skipped": 1, "not_passed": {}}
    stages: dict[str, dict[str, Any]] = {"load": {"layouts": [layout]}, "tests": counts}
    for name, kept in stages.items():
        replace(task, file=tmp_path / f"{name}.json", tiny=False).keep(kept)
    found = {table.name: table for table in tables(tmp_path)}
    assert found["gpu-load"].columns == ("workers", "call", "clients", "answers/s", "median ms", "p99 ms")
    assert found["gpu-load"].rows == (("4", "explanations", "2", "9.9", "40.0", "90.1"),)
    assert found["gpu-tests"].columns == ("passed", "failed", "skipped")
    assert found["gpu-tests"].rows == (("31", "2", "1"),)


@pytest.mark.parametrize("inside", ["nowhere", "."])
def test_a_folder_without_figures_erases_none(inside: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / inside), "--into", str(page)])
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith(f"{tmp_path / inside} has no STAGE.json: name the folder that `tools.gpu` wrote to with --out")
    )
    assert page.read_text() == PAGE


def test_a_rehearsal_fills_no_page(task: Task, tmp_path: Path) -> None:
    replace(task, file=tmp_path / "training.json").keep({"precision": "float32", "batch": 8, "epochs": []})
    assert filled(tmp_path).count(NOT_MEASURED) == 4


def test_the_pages_tables_of_several_stages_are_one(task: Task, tmp_path: Path) -> None:
    for name in ("occlusion", "vgg16"):
        perform(name, replace(task, file=tmp_path / f"{name}.json"))
        found = json.loads((tmp_path / f"{name}.json").read_text())
        (tmp_path / f"{name}.json").write_text(json.dumps(found | {"tiny": False}))
    page = filled(tmp_path)
    assert "| zfnet | 112/112 | float32 | 4 |" in page
    assert "| vgg16 | 112/112 | float32 | 4 |" in page
