"""`zfnet-explainer explain` where names, folders, options and the environment are not as they should be."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import typer

from zfnet_explainer.commands import asking
from zfnet_explainer.commands.claim import MADE_WITH
from zfnet_explainer.commands.explain import explain
from zfnet_explainer.torchserve.devices import Device

from ...deploy.upstream import Reply, running_upstream
from ...room import room_for
from ...samples import encoded, noise
from ...served import service
from .explaining import BROKEN, explained, files, is_explanation, said

NOWHERE = "http://zfnet.invalid"


def test_a_name_that_is_not_utf_8(folder: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.png")
    (folder / name).write_bytes(b"a picture")
    with running_upstream() as upstream:
        upstream.reply = explained
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert (tmp_path / "out" / f"{name}.png").exists()


def test_a_name_that_looks_like_markup_is_told_as_it_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "[bold] :cat:"
    (folder / "[b] :dog:.png").write_bytes(b"a picture")
    with running_upstream() as upstream:
        upstream.reply = lambda form: Reply(400) if len(upstream.seen) == 2 else explained(form)
        with pytest.raises(typer.Exit):
            explain([folder], out, url=f"http://{upstream.address}")
    said = capsys.readouterr().err
    assert f"{folder}/[b] :dog:.png: 400" in said
    assert f"7 of 8 pictures explained, in {out}/" in said


def test_a_folder_that_cannot_be_made_is_told_before_any_work(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with running_upstream() as upstream:
        with pytest.raises(typer.BadParameter, match="no files can be made in it"):
            explain([folder], tmp_path / "file" / "out", url=f"http://{upstream.address}")
        assert upstream.seen == []


def test_a_disk_that_is_full_ends_the_run_and_leaves_what_was_whole(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_upstream() as upstream:
        upstream.reply = lambda form: (
            Reply(200, "image/png", b"x" * (2**20 if len(upstream.seen) == 1 + 2 else 2**10))
            if is_explanation(form)
            else explained(form)
        )
        with room_for(2**16), pytest.raises(typer.Exit) as ended:
            explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
        assert ended.value.exit_code == 1
        said = capsys.readouterr().err
        assert f"{tmp_path / 'out'} takes no more files (File too large" in said
        assert "once there is room, this command goes on where it was" in said
        assert files(tmp_path / "out").keys() == {"a.png.png", MADE_WITH}
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert files(tmp_path / "out").keys() == {*(f"{path}.png" for path in files(folder)), MADE_WITH}


def test_an_option_given_twice(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="--option layer is given twice: '4' and '5'"):
        explain([folder], tmp_path / "out", ["layer=4", " layer =5"])


def test_the_picture_is_no_option(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="--option 'data=x': `data` is the picture itself"):
        explain([folder], tmp_path / "out", ["data=x"])


@pytest.mark.parametrize("value", ["../x", "jpg", ""])
def test_a_format_that_is_none(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str) -> None:
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", [f"format={value}"])
    assert ended.value.exit_code == os.EX_USAGE
    assert said(capsys) == [f"--option format is one of json, png, npz, html, not {value!r}"]
    assert not (tmp_path / "out").exists()


def test_a_format_in_any_case(folder: Path, tmp_path: Path) -> None:
    with running_upstream() as upstream:
        upstream.reply = lambda form: Reply() if is_explanation(form) else explained(form)
        explain([folder / "a.png"], tmp_path / "out", ["format=JSON"], url=f"http://{upstream.address}")
    assert (tmp_path / "out" / "a.png.json").exists()


@pytest.mark.parametrize("note", [b"{", b"\xff", b"[]", b"{}"])
def test_a_note_that_does_not_tell(folder: Path, tmp_path: Path, note: bytes) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MADE_WITH).write_bytes(note)
    with pytest.raises(
        typer.BadParameter, match=rf"{MADE_WITH} (cannot be read|is not this program).*: name another --out"
    ):
        explain([folder], tmp_path / "out", url=NOWHERE)


@pytest.mark.parametrize("proxy", ["socks5://user:secret@127.0.0.1:1", "gopher://user:secret@127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(typer.BadParameter, match=r"the proxy .* \(ALL_PROXY\) cannot be used") as refused:
        explain([folder], tmp_path / "out", url=NOWHERE)
    assert "secret" not in str(refused.value)
    with running_upstream() as upstream:
        upstream.reply = explained
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert (tmp_path / "out" / "a.png.png").exists()


def test_certificates_of_the_environment_that_are_none(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    with pytest.raises(typer.BadParameter, match=r"SSL_CERT_FILE=.*nowhere\.pem is no file of certificates in PEM"):
        explain([folder], tmp_path / "out", url=NOWHERE)


def test_a_file_system_that_fails_for_the_moment_is_no_pictures_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(_: Path) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(asking, "read_file", stale)
    with pytest.raises(asking.Aborted, match=r"a\.jpg cannot be read now: Stale file handle") as caught:
        asking.answer_to(Path("a.jpg"), lambda _: (200, b""))
    assert caught.value.exit_code == 1


def test_a_name_that_leaves_no_room_for_its_explanation_s_costs_no_other(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "x" * 248 + ".png"  # of the 255 bytes that a name may have
    others = files(folder)
    (folder / long).write_bytes(encoded(noise(20, 20)))
    with running_upstream() as upstream:
        upstream.reply = explained
        with pytest.raises(typer.Exit) as ended:
            explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert ended.value.exit_code == os.EX_DATAERR
    assert files(tmp_path / "out").keys() == {*(f"{path}.png" for path in others), MADE_WITH}
    assert f"{folder / long}: 400 its name leaves no room for the ending of its explanation's: shorten it" in said(
        capsys
    )


def test_a_name_that_would_move_the_cursor_is_told_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "\x1b[2J\n.png").write_bytes(BROKEN)
    with running_upstream() as upstream:
        upstream.reply = explained
        with pytest.raises(typer.Exit):
            explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert f"{folder}/\\x1b[2J\\n.png: 415 no picture" in said(capsys)


@pytest.mark.parametrize("url", ["", "http://"])
def test_an_address_that_is_empty_is_no_wish_to_compute_here(folder: Path, tmp_path: Path, url: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"--url '.*' does not begin with http:// or https:// and a host"):
        explain([folder], tmp_path / "out", url=url)


@pytest.mark.parametrize("there", [{"model": "zfnet"}, {"token": "secret"}, {"cacert": Path("ca.pem")}])
def test_options_of_a_server_are_refused_here(folder: Path, tmp_path: Path, there: dict[str, Any]) -> None:
    [name] = there
    with pytest.raises(typer.BadParameter, match=f"--{name} is of the server that --url names: name it, or leave"):
        explain([folder], tmp_path / "out", **there)


@pytest.mark.parametrize("here", [{"weights": Path("x.safetensors")}, {"device": Device.CPU}])
def test_options_of_computing_here_are_refused_with_a_server(
    folder: Path, tmp_path: Path, here: dict[str, Any]
) -> None:
    [name] = here
    with pytest.raises(typer.BadParameter, match=f"--{name} is for computing here: leave --url out, or leave --{name}"):
        explain([folder], tmp_path / "out", url=NOWHERE, **here)


def test_a_token_of_the_environment_is_a_server_s_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZFNET_TOKEN", "secret")
    with running_upstream() as upstream:
        upstream.reply = explained
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert {seen.headers["authorization"] for seen in upstream.seen} == {"Bearer secret"}
    monkeypatch.setattr("zfnet_explainer.commands.local.local_service", lambda *_: service())
    options = ["methods=deconv", "features=1", "format=json", "images=false"]
    explain([folder / "a.png"], tmp_path / "here", options)
    assert files(tmp_path / "here").keys() == {"a.png.json", MADE_WITH}


def test_a_note_that_cannot_be_read_for_the_moment_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / MADE_WITH).mkdir(parents=True)
    with pytest.raises(typer.Exit) as ended:
        explain([folder], tmp_path / "out", url=NOWHERE)
    assert ended.value.exit_code == 1
    assert said(capsys) == [f"{tmp_path / 'out' / MADE_WITH} cannot be read now: Is a directory"]
