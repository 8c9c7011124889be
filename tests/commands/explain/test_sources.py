"""Which pictures `zfnet-explainer explain` takes for those of one run, as the note in the folder of answers says."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from zfnet_explainer.commands.bulk import Shard
from zfnet_explainer.commands.claim import MADE_WITH, Claim, Sources
from zfnet_explainer.commands.explain import explain

from ...deploy.upstream import Reply, Upstream
from .explaining import explained, files, said


def test_pictures_of_another_folder_need_another_folder(
    folder: Path, february: Path, tmp_path: Path, upstream: Upstream
) -> None:
    url, out, cats = f"http://{upstream.address}", tmp_path / "out", folder / "cats"
    explain([cats], out, url=url)
    before, asked = files(out), len(upstream.seen)
    for others in ([february], [february / "z.png"], [cats / "a.png"]):
        with pytest.raises(typer.BadParameter, match=r"out has explanations of .*cats, where pictures may have"):
            explain(others, out, url=url)
    assert (files(out), len(upstream.seen)) == (before, asked)
    (tmp_path / "link").symlink_to(cats)
    explain([tmp_path / "link"], out, url=url)
    assert (files(out), len(upstream.seen)) == (before, asked), "the same folder by another name"


def test_what_a_run_is_given_may_grow(folder: Path, february: Path, tmp_path: Path, upstream: Upstream) -> None:
    url, out, dogs = f"http://{upstream.address}", tmp_path / "out", folder / "dogs"
    (february / "a.png").rename(february / "y.png")
    explain([dogs], out, url=url)
    explain([dogs, february, folder / "b.jpg"], out, url=url)
    assert {"y.png.png", "z.png.png", "b.jpg.png"} < set(files(out))
    note = json.loads((out / MADE_WITH).read_text())
    assert (note["folders"], note["pictures"]) == (sorted([str(dogs), str(february)]), [str(folder / "b.jpg")])
    with pytest.raises(typer.BadParameter, match="give all of them at once"):
        explain([february], out, url=url)


def test_pictures_named_one_by_one_may_come_from_anywhere_but_under_a_name_that_is_there(
    folder: Path, february: Path, tmp_path: Path, upstream: Upstream
) -> None:
    url, out = f"http://{upstream.address}", tmp_path / "out"
    explain([folder / "cats" / "a.png"], out, url=url)
    explain([february / "z.png"], out, url=url)
    assert set(files(out)) == {"a.png.png", "z.png.png", MADE_WITH}
    before = files(out)
    explain([february / "z.png"], out, url=url)
    for others in ([february / "a.png"], [february / "z.png", february / "a.png"], [february]):
        with pytest.raises(typer.BadParameter, match="name another --out"):
            explain(others, out, url=url)
    assert files(out) == before


def test_a_picture_and_then_its_folder_are_one_set(folder: Path, tmp_path: Path, upstream: Upstream) -> None:
    url, out = f"http://{upstream.address}", tmp_path / "out"
    explain([folder / "a.png"], out, url=url)
    explain([folder], out, url=url)
    assert [seen.path for seen in upstream.seen].count("/explanations/zfnet") == 7
    note = json.loads((out / MADE_WITH).read_text())
    assert (note["folders"], note["pictures"]) == ([str(folder)], [])


def test_links_are_known_by_their_own_names(folder: Path, february: Path, tmp_path: Path, upstream: Upstream) -> None:
    """As in stores that keep files by their hashes: the explanation bears the link's name."""
    url, out = f"http://{upstream.address}", tmp_path / "out"
    for place, content in (("x", folder / "a.png"), ("y", february / "z.png")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "cat.png").symlink_to(content)
    explain([tmp_path / "x" / "cat.png"], out, url=url)
    with pytest.raises(typer.BadParameter, match="where pictures may have the same names"):
        explain([tmp_path / "y" / "cat.png"], out, url=url)


def test_a_picture_of_the_name_of_one_that_is_gone_is_not_taken_for_it(
    folder: Path, february: Path, tmp_path: Path, upstream: Upstream
) -> None:
    url, out = f"http://{upstream.address}", tmp_path / "out"
    explain([folder], out, url=url)
    (folder / "a.png").unlink()
    with pytest.raises(typer.BadParameter, match=r"other pictures under the names of .*february/a\.png: name another"):
        explain([folder, february], out, url=url)


def test_what_is_missing_is_named(folder: Path, february: Path, tmp_path: Path, upstream: Upstream) -> None:
    url, out = f"http://{upstream.address}", tmp_path / "out"
    explain([folder, february / "z.png"], out, url=url)
    with pytest.raises(typer.BadParameter, match=r"out has explanations of [^,]*february/z\.png, where"):
        explain([folder], out, url=url)


def test_what_is_given_twice_is_explained_once(
    folder: Path, tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(folder)
    explain([folder, folder / "a.png", tmp_path / "link"], tmp_path / "out", url=f"http://{upstream.address}")
    assert "7 of 7 pictures explained" in said(capsys)[-1]
    assert [seen.path for seen in upstream.seen].count("/explanations/zfnet") == 7


def test_the_note_is_read_anew_only_where_another_run_wrote_it(
    folder: Path, tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, read = [], Claim._read

    def counted(claim: Claim) -> dict[str, Any]:
        reads.append(claim.note)
        return read(claim)

    monkeypatch.setattr(Claim, "_read", counted)
    explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert len(reads) == 1


@pytest.mark.parametrize("value", [5, "/a", [["/a"]], {"/a": 1}])
def test_a_note_whose_folders_are_none_is_not_this_programs(
    folder: Path, tmp_path: Path, upstream: Upstream, value: object
) -> None:
    url, note = f"http://{upstream.address}", tmp_path / "out" / MADE_WITH
    explain([folder / "a.png"], tmp_path / "out", url=url)
    note.write_text(json.dumps(json.loads(note.read_text()) | {"folders": value}))
    with pytest.raises(typer.BadParameter, match="is not this program's"):
        explain([folder / "a.png"], tmp_path / "out", url=url)


def test_a_link_to_itself_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(typer.BadParameter, match=r"loop\.png"):
        explain([tmp_path / "loop.png"], tmp_path / "out", url="http://127.0.0.1:1")


def test_another_folder_that_claims_out_meanwhile_stops_this_run(
    folder: Path, february: Path, tmp_path: Path, upstream: Upstream
) -> None:
    """Both began in an empty folder, and the other was the first to keep an explanation."""

    def other_claims(form: bytes) -> Reply:
        if len(upstream.seen) == 1 + 1:
            Claim(tmp_path / "out", {"format": "png"}, Sources.of([february])).take()
        return explained(form)

    upstream.reply = other_claims
    with pytest.raises(typer.BadParameter, match=r"out has explanations of .*february"):
        explain([folder], tmp_path / "out", url=f"http://{upstream.address}")
    assert set(files(tmp_path / "out")) == {MADE_WITH}


def test_a_folder_that_has_moved_is_gone_on_with_once_its_old_place_is_deleted_from_the_note(
    folder: Path, tmp_path: Path, upstream: Upstream
) -> None:
    url, note = f"http://{upstream.address}", tmp_path / "out" / MADE_WITH
    explain([folder], tmp_path / "out", shard="0/2", url=url)
    moved = folder.rename(tmp_path / "moved")
    with pytest.raises(typer.BadParameter, match=f"delete `folders` and `pictures` from {note}"):
        explain([moved], tmp_path / "out", url=url)
    told = json.loads(note.read_text())
    note.write_text(json.dumps(told | {"folders": None, "pictures": None}))
    explain([moved], tmp_path / "out", url=url)
    asked = [seen.path for seen in upstream.seen]
    assert asked.count("/explanations/zfnet") == 7
    assert len(files(tmp_path / "out")) == 7 + 1


def test_a_part_without_pictures_names_no_folder(
    folder: Path, tmp_path: Path, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    [whose] = [i for i in range(2) if Shard(i, 2).holds(Path("a.png"))]
    explain([folder / "a.png"], tmp_path / "out", shard=f"{1 - whose}/2", url=f"http://{upstream.address}")
    assert said(capsys) == ["0 of 0 pictures explained"]
    assert not (tmp_path / "out").exists()
    assert upstream.seen == []
