"""`zfnet-explainer explain` where names, folders, options and the environment are not as they should be."""

import errno
import os
from pathlib import Path

import pytest
import typer

from zfnet_explainer.commands import asking
from zfnet_explainer.commands.bulk import MADE_WITH
from zfnet_explainer.commands.explain import explain

from ..deploy.upstream import Reply, running_upstream
from ..room import room_for
from ..samples import encoded, noise

NOWHERE = "http://zfnet.invalid"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures."""
    (tmp_path / "pictures").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "pictures" / name).write_bytes(encoded(noise(20, 20)))
    return tmp_path / "pictures"


def test_a_name_that_is_not_utf_8(folder: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.png")
    (folder / name).write_bytes(b"a picture")
    with running_upstream() as upstream:
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert (tmp_path / "out" / f"{name}.png").exists()


def test_a_name_that_looks_like_markup_is_told_as_it_is(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "[bold] :cat:"
    (folder / "[b] :dog:.png").write_bytes(b"a picture")
    with running_upstream() as upstream:
        upstream.reply = lambda _: Reply(status=400 if len(upstream.seen) == 2 else 200)
        with pytest.raises(typer.Exit):
            explain([folder], out, url=f"http://{upstream.address}")
    said = capsys.readouterr().err
    assert f"{folder}/[b] :dog:.png: 400" in said
    assert f"2 of 3 pictures explained, in {out}/" in said


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
        upstream.reply = lambda _: Reply(body=b"x" * (2**20 if len(upstream.seen) == 1 + 2 else 2**10))
        with room_for(2**16), pytest.raises(typer.Exit) as ended:
            explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
        assert ended.value.exit_code == 1
        said = capsys.readouterr().err
        assert f"{tmp_path / 'out'} takes no more files (File too large" in said
        assert "once there is room, this command goes on where it was" in said
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png.png", MADE_WITH}
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png.png", "b.png.png", MADE_WITH}


def test_an_option_given_twice(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="--option layer is given twice: '4' and '5'"):
        explain([folder], tmp_path / "out", ["layer=4", " layer =5"])


@pytest.mark.parametrize("value", ["../x", "jpg", ""])
def test_a_format_that_is_none(folder: Path, tmp_path: Path, value: str) -> None:
    with pytest.raises(typer.BadParameter, match="--option format is one of json, png, npz, html, not"):
        explain([folder], tmp_path / "out", [f"format={value}"])


def test_a_format_in_any_case(folder: Path, tmp_path: Path) -> None:
    with running_upstream() as upstream:
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
