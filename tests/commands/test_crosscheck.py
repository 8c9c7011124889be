"""`zfnet-explainer crosscheck` as a person runs it: what agrees, what does not, what cannot be compared."""

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn
from typer.testing import CliRunner, Result

from zfnet_explainer import explainer
from zfnet_explainer.commands import asking
from zfnet_explainer.commands.main import app
from zfnet_explainer.methods import captum, deconvnet
from zfnet_explainer.methods.incremental.occluder import Occluder
from zfnet_explainer.net import checkpoint
from zfnet_explainer.net.own import save_checkpoint
from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.pictures.files import read_file

from .. import narrow
from ..chains import seeded
from ..samples import encoded, noise
from ..served import RECORD

OPTIONS = ("--device", "cpu", "--layer", "1,5", "--features", "2", "--window", "100", "--stride", "60")


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checkpoint.ARCHITECTURES, "zfnet", narrow.zfnet)
    monkeypatch.setenv("COLUMNS", "500")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Weights and two pictures, one in a folder below the other."""
    checkpoint.save(seeded(narrow.zfnet(3, {}), 0), RECORD, tmp_path / "net.safetensors")
    for seed, name in enumerate(["a.png", "cats/b.png"]):
        file = tmp_path / "pictures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(noise(90, 100, seed=seed)))
    return tmp_path


def crosscheck(folder: Path, *more: str) -> Result:
    arguments = ["crosscheck", folder / "pictures", "--weights", folder / "net.safetensors", *OPTIONS, *more]
    return CliRunner().invoke(app, [*map(str, arguments)])


def cells(result: Result) -> dict[str, list[str]]:
    """What the table says, by picture: differences of projections and maps, and whether they agree."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines()]
    return {row[0]: row[1:] for row in rows if row and row[0].endswith(".png")}


def test_what_agrees_ends_with_0_and_says_how_closely(folder: Path) -> None:
    result = crosscheck(folder)
    assert result.exit_code == 0, result.output
    found = cells(result)
    assert list(found) == ["a.png", "cats/b.png"]
    for deconv, occlusion, agrees in found.values():
        assert max(float(deconv), float(occlusion)) <= 1e-4
        assert agrees == "yes"
    assert "largest difference over the largest value" in result.stdout


def test_a_name_that_looks_like_markup_is_shown_as_it_is(folder: Path) -> None:
    (folder / "pictures" / "a.png").rename(folder / "pictures" / "dog [draft].png")
    result = crosscheck(folder)
    assert result.exit_code == 0, result.output
    assert list(cells(result)) == ["dog [draft].png", "cats/b.png"]


def test_a_folder_without_pictures_is_refused(folder: Path) -> None:
    shutil.rmtree(folder / "pictures")
    (folder / "pictures").mkdir()
    result = crosscheck(folder)
    assert result.exit_code == 2
    assert f"there are no pictures in {folder / 'pictures'}" in result.output


def off_in_projections(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    project = deconvnet.project

    def off(*arguments: Any) -> list[deconvnet.Feature]:
        return [replace(found, projection=factor * found.projection) for found in project(*arguments)]

    monkeypatch.setattr(deconvnet, "project", off)


def a_hundredth_off_in_projections(monkeypatch: pytest.MonkeyPatch) -> None:
    off_in_projections(monkeypatch, 1.01)


def a_logit_off_in_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    occlude = Occluder.__call__

    def off(*arguments: Any) -> object:
        found = occlude(*arguments)
        found.logits[..., 0] += 0.01
        return found

    monkeypatch.setattr(Occluder, "__call__", off)


@pytest.mark.parametrize(
    ("spoil", "wrong", "least"), [(a_hundredth_off_in_projections, 0, 0.0099), (a_logit_off_in_maps, 1, 2e-4)]
)
def test_what_does_not_agree_ends_with_1_and_says_where(
    folder: Path, monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[pytest.MonkeyPatch], None], wrong: int, least: float,
) -> None:  # fmt: skip
    spoil(monkeypatch)
    result = crosscheck(folder)
    assert result.exit_code == 1
    assert len(cells(result)) == 2, "all pictures are compared"
    for *differences, agrees in cells(result).values():
        assert least <= float(differences[wrong]) <= 0.011
        assert float(differences[1 - wrong]) <= 1e-4
        assert agrees == "NO"


def test_what_a_device_rounds_is_no_disagreement(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explainer, "keeps_float32", lambda _: False)
    result = crosscheck(folder)
    assert result.exit_code == 0, result.output
    assert [said for *_, said in cells(result).values()] == ["rounded", "rounded"]


def test_a_device_that_rounds_hides_nothing_that_is_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explainer, "keeps_float32", lambda _: False)
    off_in_projections(monkeypatch, 3)
    result = crosscheck(folder)
    assert result.exit_code == 1
    assert [said for *_, said in cells(result).values()] == ["NO", "NO"]


def test_the_squares_are_the_server_s_own_where_none_are_asked_for(folder: Path) -> None:
    """Which fit a net for pictures smaller than the usual square."""
    layers = nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 12 * 12, len(RECORD.classes))
    preprocessing = Preprocessing(28, (0.5,) * 3, (0.25,) * 3)
    path = folder / "small.safetensors"
    save_checkpoint(seeded(nn.Sequential(*layers), 0), path, classes=RECORD.classes, preprocessing=preprocessing)
    result = CliRunner().invoke(
        app, ["crosscheck", f"{folder / 'pictures'}", "--weights", f"{path}", "--device", "cpu"]
    )
    assert result.exit_code == 0, result.output
    assert [agrees for *_, agrees in cells(result).values()] == ["yes", "yes"]


def test_all_layers_are_compared_where_none_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[list[str]] = []

    def noted(_: object, __: object, found: dict[str, Any]) -> float:
        compared.append(list(found))
        return 0.0

    monkeypatch.setattr(captum, "check_deconv", noted)
    whole = ("--window", "224", "--stride", "224", "--features", "1")
    asked = [folder / "pictures" / "a.png", "--weights", folder / "net.safetensors", "--device", "cpu", *whole]
    result = CliRunner().invoke(app, ["crosscheck", *map(str, asked)])
    assert result.exit_code == 0, result.output
    assert compared == [["relu1", "relu2", "relu3", "relu4", "relu5"]]


def test_a_comparison_that_fails_ends_with_1(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not as a picture that is refused, which another run would refuse, too."""

    def broken(*_: object) -> float:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(captum, "check_deconv", broken)
    result = crosscheck(folder)
    assert (result.exit_code, cells(result)) == (1, {})
    assert result.stderr.count(".png: 500 the server failed on this request") == 2


@pytest.mark.parametrize(("content", "why"), [(b"no picture", "not a picture"), (None, "it cannot be read: No such")])
def test_a_picture_that_cannot_be_read_is_one_line_and_costs_no_other(
    folder: Path, content: bytes | None, why: str
) -> None:
    broken = folder / "pictures" / "broken.png"
    if content is None:
        broken.symlink_to(folder / "nowhere")
    else:
        broken.write_bytes(content)
    result = crosscheck(folder)
    assert result.exit_code == os.EX_DATAERR
    [line] = [line for line in result.stderr.splitlines() if str(broken) in line]
    assert why in line
    assert list(cells(result)) == ["a.png", "cats/b.png"]


def test_a_picture_that_cannot_be_read_hides_no_disagreement(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_hundredth_off_in_projections(monkeypatch)
    (folder / "pictures" / "broken.png").write_bytes(b"no picture")
    assert crosscheck(folder).exit_code == 1


def test_what_was_compared_is_shown_where_the_run_ends_early(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Ctrl-C, at the second picture."""
    left = [read_file]

    def interrupted(path: Path) -> bytes:
        if not left:
            raise KeyboardInterrupt
        return left.pop()(path)

    monkeypatch.setattr(asking, "read_file", interrupted)
    result = crosscheck(folder)
    assert result.exit_code == 128 + signal.SIGINT
    assert list(cells(result)) == ["a.png"]


@pytest.mark.parametrize(("option", "value"), [("--window", "0"), ("--layer", "9"), ("--features", "0")])
def test_an_option_that_is_none_is_no_picture_s_fault(folder: Path, option: str, value: str) -> None:
    result = crosscheck(folder, option, value)
    assert (result.exit_code, result.stdout) == (os.EX_USAGE, "")
    [line] = [line for line in result.stderr.splitlines() if "option" in line]
    assert f"no picture is explained with these options: `{option[2:]}` must be" in line
    assert ".png" not in result.stderr


def test_off_a_terminal_a_long_path_is_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = "deep/" * 9 + "picture-of-a-name-that-fits-nowhere.png"
    (folder / "pictures" / path).parent.mkdir(parents=True)
    (folder / "pictures" / "a.png").rename(folder / "pictures" / path)
    shown = [line.split("│")[1].strip() for line in crosscheck(folder).stdout.splitlines() if "│" in line]
    assert path in "".join(shown)
