"""What `zfnet-explainer explain` refuses, before any work or as soon as a server says so."""

import json
import os
from pathlib import Path

import pytest
import typer

from zfnet_explainer.commands.claim import MADE_WITH, Claim, Sources
from zfnet_explainer.commands.explain import explain
from zfnet_explainer.commands.remote import PROBES

from ...deploy.upstream import Reply, Upstream
from ...served import service
from .explaining import BROKEN, explained, files, is_explanation, said


def test_other_options_need_another_folder(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    explain([folder], tmp_path / "out", ["layer=4"], url=f"http://{upstream.address}")
    with pytest.raises(
        typer.BadParameter, match=r'made with .*"layer": "4".* not .*: name another --out, or delete it'
    ):
        explain([folder], tmp_path / "out", ["layer=5"], url=f"http://{upstream.address}")


def refusing(code: str, option: str | None = "images") -> Reply:
    error = {"code": code, "message": "`images` must be true or false, got 'no'"} | (
        {"option": option} if option else {}
    )
    return Reply(400, body=json.dumps({"error": error}).encode())


@pytest.mark.parametrize("code", ["invalid_option", "too_much_work"])
def test_a_mistyped_option_ends_the_run_at_once_and_claims_no_folder(
    folder: Path, tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    upstream.reply = lambda form: refusing(code) if b"images" in form else explained(form)
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", ["images=no"], url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_USAGE
    assert len(upstream.seen) == 1 + 1
    assert said(capsys) == ["no picture is explained with these options: `images` must be true or false, got 'no'"]
    assert files(tmp_path / "out") == {}
    explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert len(files(tmp_path / "out")) == 7 + 1


def test_a_mistyped_option_ends_a_run_here_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("zfnet_explainer.commands.local.local_service", lambda *_: service())
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", ["windw=8"])
    assert ended.value.exit_code == os.EX_USAGE
    [line] = said(capsys)
    assert line.startswith("no picture is explained with these options: ")
    assert "windw" in line


@pytest.mark.parametrize(
    ("first", "refusal"),
    [(1, refusing("too_much_work", option=None)), (3, refusing("invalid_option", "precision"))],
    ids=["an answer that is too large", "numbers that are too large"],
)
def test_what_is_refused_for_one_picture_stops_no_other(
    folder: Path, tmp_path: Path, upstream: Upstream, first: int, refusal: Reply
) -> None:
    """Where the contract names no option, and where another picture was explained with the options."""
    upstream.reply = lambda form: refusal if len(upstream.seen) == 1 + first else explained(form)
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_DATAERR
    assert len(files(tmp_path / "out")) == 6 + 1
    upstream.reply = lambda form: refusal if is_explanation(form) else explained(form)
    with pytest.raises(typer.Exit) as ended:  # what is left is that picture alone
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_DATAERR


def test_other_options_are_refused_before_any_work(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    explain([folder / "a.png"], tmp_path / "out", url=f"http://{upstream.address}")
    asked = len(upstream.seen)
    with pytest.raises(typer.BadParameter, match="name another --out, or delete it"):
        explain([folder], tmp_path / "out", ["layer=5"], url=f"http://{upstream.address}")
    assert len(upstream.seen) == asked


def test_a_run_with_other_options_that_claims_the_folder_meanwhile_stops_this_one(
    folder: Path, tmp_path: Path, upstream: Upstream
) -> None:
    """Both began in an empty folder; the other writes its first explanation while this one waits for its third."""

    def other_claims(form: bytes) -> Reply:
        if len(upstream.seen) == 1 + 3:
            (tmp_path / "out" / MADE_WITH).unlink()
            Claim(tmp_path / "out", {"format": "png", "layer": "3"}, Sources.of([folder])).take()
        return explained(form)

    upstream.reply = other_claims
    with pytest.raises(typer.BadParameter, match=r'made with .*"layer": "3"'):
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert len(files(tmp_path / "out")) == 2 + 1


def changed_weights(form: bytes) -> Reply:
    return explained(form, weights="cd" * 32)


def test_a_server_with_other_weights_needs_another_folder(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    explain([folder], tmp_path / "out", shard="0/2", url=f"http://{upstream.address}")
    assert json.loads((tmp_path / "out" / MADE_WITH).read_text())["weights_sha256"] == "ab" * 32
    before, asked = files(tmp_path / "out"), len(upstream.seen)
    upstream.reply = changed_weights
    with pytest.raises(typer.BadParameter, match=rf"made with .*{'ab' * 32}.* not .*{'cd' * 32}"):
        explain([folder], tmp_path / "out", shard="1/2", url=f"http://{upstream.address}")
    assert files(tmp_path / "out") == before
    assert len(upstream.seen) == asked + 1


def test_the_weights_are_asked_for_with_a_picture_that_is_one(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    (folder / "0.png").write_bytes(BROKEN)
    (folder / "1.png").symlink_to(folder / "nowhere")
    with pytest.raises(typer.Exit):
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert [seen.path for seen in upstream.seen][:3] == ["/predictions/zfnet"] * 2 + ["/explanations/zfnet"]
    assert json.loads((tmp_path / "out" / MADE_WITH).read_text())["weights_sha256"] == "ab" * 32
    for i in range(PROBES):
        (folder / f"0{i}.png").write_bytes(BROKEN)
    upstream.reply = changed_weights
    with pytest.raises(typer.BadParameter, match="made with"):  # asked with one that has been read before
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")


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
