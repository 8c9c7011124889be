"""`zfnet-explainer explain` on folders: parts that make a whole, runs that go on, exit codes."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from zfnet_explainer.commands.bulk import MADE_WITH
from zfnet_explainer.commands.explain import WAIT_S, explain

from ..deploy.upstream import Reply, Upstream, running_upstream
from ..pictures import encoded, noise
from ..served import RECORD, service

BROKEN = b"no picture"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures, two of a name in different folders."""
    for i, name in enumerate(["a.png", "b.jpg", "c.png", "d.png", "cats/a.png", "cats/deep/x.png", "dogs/y y.png"]):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise(60, 70, seed=i), "JPEG" if path.suffix == ".jpg" else "PNG"))
    return tmp_path / "pictures"


def explained(form: bytes) -> Reply:
    """An answer that differs by picture, or the refusal of a broken one."""
    if BROKEN in form:
        return Reply(415, body=b'{"error": {"code": "unsupported_image"}}')
    picture = form.partition(b"\x89PNG")[2] or form.partition(b"\xff\xd8")[2]
    return Reply(200, "image/png", hashlib.sha256(picture.partition(b"\r\n--")[0]).digest())


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """A server to ask."""
    monkeypatch.setenv("NO_PROXY", "*")
    with running_upstream() as running:
        running.reply = explained
        yield running


def files(out: Path) -> dict[str, bytes]:
    """Content by path."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


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


def test_a_run_goes_on_where_it_was(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    def run() -> None:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")

    upstream.reply = Reply(500, body=b'{"error": {}}')
    with pytest.raises(typer.Exit) as ended:
        run()
    assert ended.value.exit_code == 1
    upstream.reply = Reply(200, "image/png", b"an explanation")
    run()
    assert len(upstream.seen) == 14
    (tmp_path / "out" / "cats" / "a.png.png").unlink()
    upstream.reply = Reply(200, "image/png", b"another explanation")
    run()
    assert len(upstream.seen) == 15, "only what is missing is asked for"
    written = {path.read_bytes() for path in (tmp_path / "out").rglob("*.p*g")}
    assert written == {b"an explanation", b"another explanation"}


def test_a_killed_run_leaves_whole_files_only(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    """Killed while it waits for its third answer."""
    asked, killed = threading.Event(), threading.Event()

    def third_waits(_: bytes) -> Reply:
        if len(upstream.seen) == 3:
            asked.set()
            killed.wait()
        return Reply(200, "image/png", b"x" * 2**20)

    upstream.reply = third_waits
    run = "import typer; from zfnet_explainer.commands.explain import explain; typer.run(explain)"
    url = f"http://{upstream.address}"
    line = [sys.executable, "-c", run, str(folder), "--out", str(tmp_path / "out"), "--url", url]
    with subprocess.Popen(line, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        assert asked.wait(60)
        process.kill()
    killed.set()
    before = files(tmp_path / "out")
    assert len(before.keys() - {MADE_WITH}) == 2
    explain([folder], tmp_path / "out", url=url)
    after = files(tmp_path / "out")
    assert len(upstream.seen) == 3 + 5
    assert before.items() <= after.items()
    assert [len(after[name]) for name in after.keys() - {MADE_WITH}] == [2**20] * 7


def test_a_bad_picture_costs_no_other(
    folder: Path, tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.png").write_bytes(BROKEN)
    (folder / "gone.png").symlink_to(folder / "nowhere")
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_DATAERR
    assert len(files(tmp_path / "out")) == 8
    said = "".join(capsys.readouterr().err.split())
    assert "broken.png:415" in said
    assert "gone.png:400itcannotberead:Nosuchfile" in said
    assert "7of9picturesexplained" in said


def test_a_busy_server_is_asked_again(
    folder: Path, tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []

    def wait(seconds: int) -> None:
        waits.append(seconds)
        upstream.reply = Reply()

    monkeypatch.setattr(time, "sleep", wait)
    upstream.reply = Reply(503, body=b"{}")
    explain([folder / "a.png"], tmp_path / "out", url=f"http://{upstream.address}", token="secret")  # noqa: S106
    assert (waits, len(upstream.seen)) == ([WAIT_S], 2)
    assert {seen.headers["authorization"] for seen in upstream.seen} == {"Bearer secret"}


def test_other_options_need_another_folder(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    explain([folder], tmp_path / "out", ["layer=4"], url=f"http://{upstream.address}")
    with pytest.raises(
        typer.BadParameter, match=r'made with .*"layer": "4".* not .*: name another --out, or delete it'
    ):
        explain([folder], tmp_path / "out", ["layer=5"], url=f"http://{upstream.address}")


@pytest.mark.parametrize("shard", ["2/2", "1", "-1/2", "a/b", "1/0", "0/2/3", ""])
def test_a_part_that_is_none(folder: Path, tmp_path: Path, shard: str) -> None:
    with pytest.raises(typer.BadParameter, match="--shard is I/N with I from 0 to N-1, such as 0/4, not"):
        explain([folder], tmp_path / "out", shard=shard)


def test_what_would_overwrite_or_feed_itself_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match=r"would both go to .*: explain them apart"):
        explain([folder / "a.png", folder / "cats" / "a.png"], tmp_path / "out")
    with pytest.raises(typer.BadParameter, match="lies inside"):
        explain([folder], folder / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(typer.BadParameter, match="there are no pictures in"):
        explain([tmp_path / "empty"], tmp_path / "out")
