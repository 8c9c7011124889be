"""Runs of `zfnet-explainer explain`: parts that make a whole, what is gone on with, what a bad picture costs."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from zfnet_explainer.commands.claim import MADE_WITH
from zfnet_explainer.commands.explain import explain
from zfnet_explainer.commands.local import local_service
from zfnet_explainer.commands.main import app
from zfnet_explainer.commands.paths import WEIGHTS
from zfnet_explainer.commands.remote import PROBES
from zfnet_explainer.torchserve.config import MAX_ANSWER_BYTES
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.wire.options import EXPLAIN_OPTIONS

from ...deploy.upstream import Reply, Upstream
from ...served import RECORD, service
from ...waiting import PATIENCE_S
from .explaining import BROKEN, explained, files, is_explanation, said


def test_the_help_names_every_option_of_the_api() -> None:
    help_page = CliRunner().invoke(app, ["explain", "--help"]).output
    [listed] = re.findall(r"name=value: (.+?)\. Repeat", " ".join(help_page.split()))
    assert sorted(listed.split(", ")) == sorted(EXPLAIN_OPTIONS)


def test_in_this_process_no_answer_is_too_large() -> None:
    assert local_service(WEIGHTS, Device.CPU).limits.max_response_bytes > MAX_ANSWER_BYTES


def test_a_run_without_a_terminal_tells_now_and_then_how_far_it_is(
    folder: Path,
    tmp_path: Path,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("zfnet_explainer.commands.explain.SIGN_OF_LIFE", 3)
    explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert said(capsys) == [
        "3 of 7 pictures asked",
        "6 of 7 pictures asked",
        f"7 of 7 pictures explained, in {tmp_path / 'out'}/",
    ]


def test_the_parts_together_are_one_run(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    url = f"http://{upstream.address}"
    explain([folder], tmp_path / "whole", url=url)
    for i in range(2):
        explain([folder], tmp_path / f"part{i}", shard=f"{i}/2", url=url)
        explain([folder], tmp_path / "together", shard=f"{i}/2", url=url)
    whole, parts = files(tmp_path / "whole"), [files(tmp_path / f"part{i}") for i in range(2)]
    assert {path.relative_to(folder).as_posix() + ".png" for path in folder.rglob("*.*")} | {MADE_WITH} == set(whole)
    assert len(set(whole.values())) == 8
    assert files(tmp_path / "together") == parts[0] | parts[1] == whole
    assert set(parts[0]) & set(parts[1]) == {MADE_WITH}
    assert all(len(part) > 1 for part in parts), "seven pictures leave neither part empty"


def test_what_is_computed_here_is_noted_with_its_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zfnet_explainer.commands.local.local_service", lambda *_: service())
    options = ["methods=deconv", "features=1", "format=json", "images=false"]
    explain([folder / "a.png"], tmp_path / "out", options)
    made_with = json.loads((tmp_path / "out" / MADE_WITH).read_text())
    assert made_with["weights_sha256"] == RECORD.weights_sha256
    found = json.loads((tmp_path / "out" / "a.png.json").read_text())
    assert found["image"]["crop"] == {"top": 0, "left": 5, "height": 60, "width": 60}


def test_a_new_picture_moves_no_other(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    explain([folder], tmp_path / "before", shard="1/3", url=f"http://{upstream.address}")
    before = {path.name for path in (tmp_path / "before").rglob("*.png.png")}
    (folder / "0.png").write_bytes(b"")
    explain([folder], tmp_path / "after", shard="1/3", url=f"http://{upstream.address}")
    assert before <= {path.name for path in (tmp_path / "after").rglob("*.png.png")}


def answering(body: bytes) -> Callable[[bytes], Reply]:
    """Every explanation is the same."""
    return lambda form: Reply(200, "image/png", body) if is_explanation(form) else explained(form)


def test_a_run_goes_on_where_it_was(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    def run() -> None:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")

    upstream.reply = Reply(500, body=b'{"error": {}}')
    with pytest.raises(typer.Exit) as ended:
        run()
    assert ended.value.exit_code == 1
    upstream.reply = answering(b"an explanation")
    run()
    (tmp_path / "out" / "cats" / "a.png.png").unlink()
    upstream.reply = answering(b"another explanation")
    run()
    asked = [seen.path for seen in upstream.seen]
    assert asked.count("/explanations/zfnet") == 7 + 7 + 1, "only what is missing is asked for"
    assert asked.count("/predictions/zfnet") == PROBES + 1 + 1
    run()
    assert len(upstream.seen) == len(asked), "nothing is"
    written = {path.read_bytes() for path in (tmp_path / "out").rglob("*.p*g")}
    assert written == {b"an explanation", b"another explanation"}


def test_a_killed_run_leaves_whole_files_only(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    """Killed while it waits for its third answer."""
    asked, killed = threading.Event(), threading.Event()

    def third_waits(form: bytes) -> Reply:
        if len(upstream.seen) == 1 + 3:
            asked.set()
            killed.wait()
        return answering(b"x" * 2**20)(form)

    upstream.reply = third_waits
    run = "import typer; from zfnet_explainer.commands.explain import explain; typer.run(explain)"
    url = f"http://{upstream.address}"
    line = [sys.executable, "-c", run, str(folder), "--out", str(tmp_path / "out"), "--url", url]
    with subprocess.Popen(line, stderr=subprocess.DEVNULL) as process:
        try:
            assert asked.wait(PATIENCE_S)
        finally:
            process.kill()
            killed.set()
    before = files(tmp_path / "out")
    assert len(before.keys() - {MADE_WITH}) == 2
    explain([folder], tmp_path / "out", url=url)
    after = files(tmp_path / "out")
    assert len(upstream.seen) == 1 + 3 + 1 + 5
    assert before.items() <= after.items()
    assert [len(after[name]) for name in after.keys() - {MADE_WITH}] == [2**20] * 7


def test_a_bad_picture_costs_no_other(
    folder: Path, tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.png").write_bytes(BROKEN)
    (folder / "gone.png").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_DATAERR
    assert len(files(tmp_path / "out")) == 8
    said = "".join(capsys.readouterr().err.split())
    assert "broken.png:415nopicture" in said
    assert "gone.png:400itcannotberead:Nosuchfile" in said
    assert "pipe.png:400itcannotberead:itisnoregularfile" in said
    assert "7of10picturesexplained" in said


def test_a_gpu_that_failed_ends_a_run_which_another_goes_on_with(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served = service()
    pictures = iter(range(7))
    whole = served.explainer.explain

    def fails_at_the_third(*arguments: Any) -> Any:
        if next(pictures) == 2:
            monkeypatch.setattr("zfnet_explainer.service.service.is_lost", lambda _: True)
            raise torch.AcceleratorError("CUDA error: unspecified launch failure")
        return whole(*arguments)

    monkeypatch.setattr(served.explainer, "explain", fails_at_the_third)
    monkeypatch.setattr("zfnet_explainer.commands.local.local_service", lambda *_: served)
    options = ["methods=deconv", "features=1", "format=json", "images=false"]
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", options)
    assert ended.value.exit_code == 1
    assert said(capsys)[-1] == (
        f"{served.served.device} has failed, and computes nothing more in this process: give the same command again"
    )
    assert next(pictures) == 3, "no fourth picture was tried"
    assert len(files(tmp_path / "out")) == 2 + 1
