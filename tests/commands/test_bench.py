"""`zfnet-explainer bench` as a person runs it, on small nets: whole with real servers, and where something fails."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from zfnet_explainer.commands.main import app
from zfnet_explainer.net import checkpoint
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.studies.speed import contenders, machine, nets, occlusion, requests, start
from zfnet_explainer.torchserve import archive, server, shipped
from zfnet_explainer.torchserve.config import ServerOptions
from zfnet_explainer.torchserve.server import RunningServer, running_server

from .. import narrow
from ..chains import seeded, small
from ..served import RECORD

# No name in UTF-8: what is saved must not be lost for it.
OUT = "out\udcff"
PAGE = "<!-- table: bench-requests -->\nold\n<!-- end -->\n"


def small_net(_: str) -> Chain:
    return small()


def no_memory(*_: object) -> int:
    """Spares the new process, which takes seconds to start."""
    return 3 << 20


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small nets, small matrices and few rounds."""
    monkeypatch.setitem(machine.MATRIX, "cpu", 64)
    monkeypatch.setattr(nets, "net", small_net)
    monkeypatch.setitem(contenders.CAPTUM_BATCHES, "cpu", (2,))
    monkeypatch.setattr(occlusion, "of_first_map", no_memory)
    monkeypatch.setattr(requests, "WARM_UP", {"predictions": 1, "explanations": 0})
    monkeypatch.setitem(checkpoint.ARCHITECTURES, "zfnet", narrow.zfnet)
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the narrow net, which archives have in ZFNet's place."""
    sources = shutil.copytree(shipped.SOURCES, tmp_path / "handlers")
    shutil.copy(narrow.__file__, sources / "zfnet_explainer" / "net" / "zfnet.py")
    monkeypatch.setattr(archive, "SOURCES", sources)
    monkeypatch.setattr(archive, "PACKAGE", sources / "zfnet_explainer")
    path = tmp_path / "net.safetensors"
    checkpoint.save(seeded(narrow.zfnet(3, {}), 0), RECORD, path)
    return path


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """The handlers that servers were asked for with; each runs in one real server, which stays for the next time."""
    asked: list[str] = []
    running: dict[str, RunningServer] = {}
    with ExitStack() as on_exit:

        @contextmanager
        def once(mar: Path, _: Path, options: ServerOptions) -> Iterator[RunningServer]:
            with zipfile.ZipFile(mar) as packed:
                handler = packed.read(archive.HANDLER).decode()
            asked.append(handler)
            if handler not in running:
                folder = tmp_path / f"run{len(running)}"
                running[handler] = on_exit.enter_context(running_server(mar, folder, options))
            yield running[handler]

        monkeypatch.setattr(server, "running_server", once)
        monkeypatch.setattr(start, "running_server", once)
        yield asked


def bench(tmp_path: Path, weights: Path, *options: str) -> tuple[Result, dict[str, Any]]:
    """What the command says, and what it saved."""
    arguments = ["--grids", "8/4,8/8", "--repeats", "1", "--device", "cpu", "--weights", str(weights)]
    result = CliRunner().invoke(app, ["bench", *arguments, "--out", str(tmp_path / OUT), *options])
    (file,) = (tmp_path / OUT).iterdir()
    return result, json.loads(file.read_text())


@pytest.mark.slow
def test_everything_is_measured_shown_and_saved(tmp_path: Path, weights: Path, handlers: list[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    result, saved = bench(tmp_path, weights, "--into", str(page))
    assert result.exit_code == 0, result.output
    assert [row["case"]["stride"] for row in saved["occlusion"]] == [4, 8]
    assert [row["net"] for row in saved["projections"]] == ["zfnet"]
    assert [row["endpoint"] for row in saved["requests"]] == ["predictions", "explanations"]
    assert len(saved["start"]) == 1
    ours = (shipped.SOURCES / archive.HANDLER).read_text()
    assert handlers == [ours, ours, start.EMPTY, ours, start.EMPTY]
    for title in ("Occlusion maps", "Nine projections", "Whole requests", "From starting the server"):
        assert title in result.output
    assert "| predictions |" in page.read_text()
    assert "old" not in page.read_text()


@pytest.mark.parametrize(
    ("name", "message"), [("alone", "cannot read the record"), ("none", "cannot read the weights")]
)
def test_weights_that_cannot_be_served_are_told_before_anything_is_measured(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "alone.safetensors").touch()
    out = tmp_path / "results"
    found = CliRunner().invoke(app, ["bench", "--weights", str(tmp_path / f"{name}.safetensors"), "--out", str(out)])
    assert found.exit_code == 1
    assert message in found.stderr
    assert "--no-requests needs no weights" in found.stderr
    assert not out.exists()


def test_maps_are_kept_where_a_later_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory runs out at the second grid."""
    left = [3 << 20]
    monkeypatch.setattr(occlusion, "of_first_map", lambda *_: left.pop())
    result, saved = bench(tmp_path, tmp_path / "none.safetensors", "--no-requests")
    assert isinstance(result.exception, IndexError)
    assert [row["case"]["stride"] for row in saved["occlusion"]] == [4]
    assert "Occlusion maps" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--nets", "zfnet,resnet"], "choose among zfnet, alexnet, vgg16"),
        (["--precisions", "float8"], "choose among float32, bfloat16, float16"),
        (["--grids", "8/4,16"], "give windows and strides as in 16/4,32/8"),
        (["--grids", "300/8"], "window must be 1 to 224 pixels, got 300"),
        (["--grids", "32/8,8/0"], "stride must be 1 to 8 pixels (the window), got 0"),
        (["--repeats", "0"], "--repeats"),
        (["--device", "tpu"], "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
    ],
)
def test_what_cannot_be_measured(options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["bench", *options])
    assert result.exit_code == 2
    assert message in result.output
