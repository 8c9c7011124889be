"""`zfnet-explainer package`: what it would overwrite or let in for nothing is refused before any work."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from zfnet_explainer.commands.main import app


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Files in the place of weights and record, which packing does not look into."""
    path = tmp_path / "trained.safetensors"
    path.write_bytes(b"weights")
    record = {"name": "flowers", "weights_sha256": hashlib.sha256(b"weights").hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(record))
    return path


def package(weights: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["package", "--weights", str(weights), *map(str, arguments)])


@pytest.mark.parametrize("name", ["trained.safetensors", "trained.json", "photo.jpg", "archive", "archive.MAR"])
def test_what_is_called_as_no_archive_is_left_as_it_is(tmp_path: Path, weights: Path, name: str) -> None:
    out = tmp_path / name
    if not out.exists():
        out.write_bytes(b"a photograph")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    result = package(weights, "--out", out)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"--out {out}: name an archive that ends in .mar" in result.stderr
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["store", "store.mar"])
def test_a_folder_is_no_archive(tmp_path: Path, weights: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    result = package(weights, "--out", tmp_path / name)
    assert result.exit_code == 2
    assert f"is a folder: name the archive in it, such as {tmp_path / name}/trained.mar" in result.stderr
    assert list((tmp_path / name).iterdir()) == []


def test_weights_that_are_called_as_an_archive_are_not_overwritten(tmp_path: Path, weights: Path) -> None:
    called = weights.rename(tmp_path / "trained.mar")
    (tmp_path / "link.mar").symlink_to(called)
    for out in (called, tmp_path / "link.mar"):
        result = package(called, "--out", out)
        assert result.exit_code == 2
        assert f"--out {out} would overwrite the weights or their record" in result.stderr
    assert called.read_bytes() == b"weights"


def test_an_archive_whose_name_cannot_be_printed_is_told_so_that_it_can(tmp_path: Path, weights: Path) -> None:
    result = package(weights, "--out", tmp_path / "\udcff.mar")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{tmp_path}/\\udcff.mar: built, ")
    assert (tmp_path / "\udcff.mar").exists()


def test_every_option_reaches_the_workers(tmp_path: Path, weights: Path) -> None:
    options = ("--workers", "3", "--batch-size", "4", "--max-batch-delay", "7", "--max-response-bytes", "999")
    where = ("--device", "cuda", "--allow-origin", "https://a.example")
    result = package(weights, "--out", tmp_path / "x.mar", *options, *where)
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(tmp_path / "x.mar") as archive:
        told = yaml.safe_load(archive.read("model-config.yaml"))
    assert (told["minWorkers"], told["batchSize"], told["maxBatchDelay"]) == (3, 4, 7)
    found = told["explainer"]
    assert (found["max_response_bytes"], found["device"], found["allowed_origin"]) == (999, "cuda", "https://a.example")


@pytest.mark.parametrize("command", ["package", "serve"])
@pytest.mark.parametrize("origin", ["foo", "https://a.example/"])
def test_an_origin_that_no_browser_sends_is_refused(tmp_path: Path, command: str, origin: str) -> None:
    out = {"package": "--out", "serve": "--run-dir"}[command]
    result = CliRunner().invoke(app, [command, "--allow-origin", origin, out, str(tmp_path / "x.mar")])
    assert result.exit_code == 2
    assert f"{origin!r} equals no origin that a browser sends: that is scheme://host[:port]" in result.stderr
    assert not (tmp_path / "x.mar").exists()
