"""What the archive holds, and when it is built."""

import hashlib
import json
import zipfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import yaml

from tests.pictures.atlases import write_atlas
from tests.room import room_for
from tests.samples import MODEL_STORE
from zfnet_explainer.pictures.samples import load_samples
from zfnet_explainer.torchserve import archive as archives
from zfnet_explainer.torchserve.archive import (
    WorkerOptions,
    archive_members,
    ensure_archive,
    package_version,
)
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.torchserve.errors import ServingError
from zfnet_explainer.torchserve.packed import MANIFEST, MODEL_CONFIG, Packed, check_archive, read_packed


def record_of(weights: bytes, **entries: object) -> bytes:
    return json.dumps({"name": "flowers", "weights_sha256": hashlib.sha256(weights).hexdigest()} | entries).encode()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Files in the place of weights and record: packing reads the net's name and the weights' hash alone."""
    path = tmp_path / "trained.safetensors"
    path.write_bytes(b"weights")
    path.with_suffix(".json").write_bytes(record_of(b"weights"))
    return path


def test_holds_what_a_worker_needs_and_no_more(tmp_path: Path, weights: Path) -> None:
    out = tmp_path / "store" / "any-name.mar"
    assert ensure_archive(out, weights, WorkerOptions())
    with zipfile.ZipFile(out) as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read(MANIFEST))
        assert archive.read("zfnet.safetensors") == b"weights"
        assert archive.read("zfnet.json") == record_of(b"weights")
    assert {"zfnet_handler.py", "model-config.yaml", "zfnet_explainer/explainer.py"} <= names
    assert {name.split("/")[1] for name in names if name.startswith("zfnet_explainer/")} == {
        "__init__.py", "atomic.py", "cores.py", "crosscheck.py", "errors.py", "explainer.py", "explanation.py",
        "messages.py", "methods", "net", "options.py", "pictures", "service", "wire",
    }  # fmt: skip
    assert not [name for name in names if "__pycache__" in name]
    assert manifest["model"]["modelName"] == read_packed(out).model == "flowers"
    assert manifest["model"]["modelVersion"] == package_version()
    assert list(out.parent.iterdir()) == [out], "packing leaves nothing else behind"


def test_packing_deletes_nobodys_temporary_files(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archiver empties a folder of the net's name in the one for temporary files."""
    others = tmp_path / "tmp" / "flowers" / "notes.txt"
    others.parent.mkdir(parents=True)
    others.write_text("kept")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    ensure_archive(tmp_path / "zfnet.mar", weights, WorkerOptions())
    assert others.read_text() == "kept"


def test_a_checkout_that_is_not_installed_has_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where nothing can be installed, and the project is on the path."""
    installed = package_version()

    def unknown(_: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(archives, "version", unknown)
    assert package_version() == installed


def test_the_atlas_travels_with_its_weights_without_photographs(tmp_path: Path, weights: Path) -> None:
    atlas = write_atlas(tmp_path / "trained.atlas", hashlib.sha256(b"weights").hexdigest(), {1: [0], 5: [3, 4]})
    (atlas / "layer5-patches.webp").write_bytes(b"photographs")
    (atlas / "notes.json").write_bytes(b"{}")
    ensure_archive(tmp_path / "zfnet.mar", weights, WorkerOptions())
    with zipfile.ZipFile(tmp_path / "zfnet.mar") as archive:
        packed = {name for name in archive.namelist() if name.startswith("zfnet.atlas/")}
        assert packed == {f"zfnet.atlas/{name}" for name in ("atlas.json", "layer1.webp", "layer5.webp")}
        assert all(archive.read(name) == (atlas / Path(name).name).read_bytes() for name in packed)
    (atlas / "layer1.webp").write_bytes(b"RIFF")
    with pytest.raises(ServingError, match=r"layer1\.webp is not the file .* delete the folder"):
        ensure_archive(tmp_path / "zfnet.mar", weights, WorkerOptions())


def test_the_atlas_of_other_weights_is_refused(tmp_path: Path, weights: Path) -> None:
    write_atlas(tmp_path / "another.atlas", "cd" * 32, {1: [0]})
    ensure_archive(tmp_path / "zfnet.mar", weights, WorkerOptions())
    write_atlas(tmp_path / "trained.atlas", "ab" * 32, {1: [0]})
    with pytest.raises(ServingError, match=r"other weights .*: delete the folder, .* with `zfnet-explainer gallery"):
        ensure_archive(tmp_path / "zfnet.mar", weights, WorkerOptions())


def test_the_samples_that_lie_beside_the_weights_travel_and_those_that_cannot_be_used_are_refused(
    tmp_path: Path, weights: Path
) -> None:
    for name in ("samples.json", *(f"samples/{path.name}" for path in (MODEL_STORE / "samples").iterdir())):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((MODEL_STORE / name).read_bytes())
    (tmp_path / "samples" / "another.jpg").write_bytes(b"not listed")
    ensure_archive(tmp_path / "zfnet.mar", weights, WorkerOptions())
    with zipfile.ZipFile(tmp_path / "zfnet.mar") as archive:
        archive.extractall(tmp_path / "unpacked")
    assert load_samples(tmp_path / "unpacked") == load_samples(MODEL_STORE)
    assert not (tmp_path / "unpacked" / "samples" / "another.jpg").exists()
    (tmp_path / "samples" / "church.jpg").unlink()
    with pytest.raises(ServingError, match=r"church\.jpg, which is missing"):
        ensure_archive(tmp_path / "zfnet.mar", weights, WorkerOptions())


def test_options_reach_the_workers_configuration(tmp_path: Path, weights: Path) -> None:
    out = tmp_path / "zfnet.mar"
    options = WorkerOptions(3, 4, max_batch_delay_ms=7, device=Device.CUDA, allowed_origin="https://example.com")
    ensure_archive(out, weights, options)
    with zipfile.ZipFile(out) as archive:
        config = yaml.safe_load(archive.read("model-config.yaml"))
    assert (config["minWorkers"], config["maxWorkers"], read_packed(out).workers) == (3, 3, 3)
    assert (config["batchSize"], config["maxBatchDelay"]) == (4, 7)
    assert (config["responseTimeout"], config["startupTimeout"]) == (600, 120)
    assert (config["deviceType"], config["explainer"]["device"]) == ("gpu", "cuda")
    assert config["explainer"]["allowed_origin"] == "https://example.com"


def test_auto_leaves_the_device_to_torchserve(tmp_path: Path, weights: Path) -> None:
    out = tmp_path / "zfnet.mar"
    ensure_archive(out, weights, WorkerOptions())
    with zipfile.ZipFile(out) as archive:
        config = yaml.safe_load(archive.read("model-config.yaml"))
    assert "deviceType" not in config
    assert config["explainer"]["device"] == "auto"


def test_is_built_again_only_where_something_changed(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "zfnet.mar"
    assert ensure_archive(out, weights, WorkerOptions())
    assert not ensure_archive(out, weights, WorkerOptions())
    with monkeypatch.context() as patch:
        patch.setattr(archives, "package_version", lambda: "0.9.0")
        patch.setattr(archives, "pack", lambda *_: None)
        assert ensure_archive(out, weights, WorkerOptions()), "another version's"
    assert ensure_archive(out, weights, WorkerOptions(workers=2)), "options changed"
    weights.write_bytes(b"others!")
    weights.with_suffix(".json").write_bytes(record_of(b"others!"))
    assert ensure_archive(out, weights, WorkerOptions(workers=2)), "weights changed"
    out.write_bytes(out.read_bytes()[:-100])
    assert ensure_archive(out, weights, WorkerOptions(workers=2)), "archive damaged"


def test_weights_that_no_worker_would_load_are_not_packed(tmp_path: Path, weights: Path) -> None:
    weights.write_bytes(b"weigh")
    with pytest.raises(ServingError, match=r"trained\.safetensors is not the file that .*trained\.json describes"):
        ensure_archive(tmp_path / "zfnet.mar", weights, WorkerOptions())
    with pytest.raises(ServingError, match=r"trained\.json is not the file that"):
        ensure_archive(tmp_path / "zfnet.mar", weights.with_suffix(".json"), WorkerOptions())
    assert not (tmp_path / "zfnet.mar").exists()


def test_missing_weights_or_record_are_named(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(ServingError, match=r"the weights .*nowhere\.safetensors: No such file.*--weights"):
        ensure_archive(tmp_path / "zfnet.mar", tmp_path / "nowhere.safetensors", WorkerOptions())
    weights.with_suffix(".json").unlink()
    with pytest.raises(ServingError, match=r"the record of the weights .*trained\.json: .*zfnet-explainer import"):
        ensure_archive(tmp_path / "zfnet.mar", weights, WorkerOptions())


def test_the_shipped_weights_travel_with_their_card_and_its_licences(tmp_path: Path, weights: Path) -> None:
    members = archive_members(MODEL_STORE / "zfnet.safetensors", WorkerOptions())
    assert members["README.md"] == (MODEL_STORE / "README.md").read_bytes()
    texts = {path.name: path.read_bytes() for path in (MODEL_STORE.parent / "LICENSES").iterdir()}
    assert {name.removeprefix("LICENSES/"): text for name, text in members.items() if "LICENSES" in name} == texts
    (tmp_path / "README.md").write_text("a project's own")
    assert not {"README.md", "LICENSES"} & {
        name.partition("/")[0] for name in archive_members(weights, WorkerOptions())
    }


@pytest.mark.parametrize("origin", ["https://example.com", "*", ""])
def test_says_which_origin_it_was_packaged_with(tmp_path: Path, weights: Path, origin: str) -> None:
    ensure_archive(tmp_path / "zfnet.mar", weights, WorkerOptions(allowed_origin=origin))
    assert read_packed(tmp_path / "zfnet.mar").allowed_origin == origin


def foreign_archive(path: Path, config: str | None) -> Path:
    """An archive as another tool may write it, with this model-config.yaml or none."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MANIFEST, '{"model": {"modelName": "theirs"}}')
        if config is not None:
            archive.writestr(MODEL_CONFIG, config)
    return path


@pytest.mark.parametrize("config", [None, "", "minWorkers: 1", "explainer: {}", "explainer: {allowed_origin: }"])
def test_an_archive_that_names_no_origin_allows_none(tmp_path: Path, config: str | None) -> None:
    workers = 1 if config == "minWorkers: 1" else None
    assert read_packed(foreign_archive(tmp_path / "foreign.mar", config)) == Packed("theirs", workers, "")


@pytest.mark.parametrize("config", ["explainer: {", "explainer: 3", "- a list", "\x00"])
def test_a_configuration_that_cannot_be_read_is_refused(tmp_path: Path, config: str) -> None:
    with pytest.raises(ServingError, match=r"foreign\.mar has a model-config\.yaml that cannot be read"):
        read_packed(foreign_archive(tmp_path / "foreign.mar", config))


@pytest.mark.parametrize("content", [None, b"no archive", b""])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.mar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ServingError, match=r"archive.*broken\.mar|broken\.mar is not a model archive"):
        check_archive(path)


def test_an_archive_without_a_manifest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.mar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("something.txt", "else")
    with pytest.raises(ServingError, match=r"has no MAR-INF/MANIFEST\.json"):
        check_archive(path)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        pytest.param(
            record_of(b"weights", name="my flowers"),
            r"`name` in .*trained\.json: 'my flowers' cannot stand in URLs",
            id="a blank",
        ),
        pytest.param(record_of(b"weights", name=5), "5 cannot stand in URLs", id="a number"),
        pytest.param(b'{"name": "a"}', "not a checkpoint's record: KeyError", id="no hash"),
        pytest.param(b"{}", "not a checkpoint's record: KeyError", id="no name"),
        pytest.param(b"{", "not a checkpoint's record", id="no JSON"),
    ],
)
def test_a_name_that_no_url_can_have_is_refused(tmp_path: Path, weights: Path, record: bytes, message: str) -> None:
    weights.with_suffix(".json").write_bytes(record)
    with pytest.raises(ServingError, match=message):
        ensure_archive(tmp_path / "zfnet.mar", weights, WorkerOptions())
    assert not (tmp_path / "zfnet.mar").exists()


def test_an_archive_that_there_is_no_room_for_is_named_and_leaves_nothing(tmp_path: Path, weights: Path) -> None:
    with room_for(10), pytest.raises(OSError, match=r"store/zfnet\.mar"):
        ensure_archive(tmp_path / "store" / "zfnet.mar", weights, WorkerOptions())
    assert list((tmp_path / "store").iterdir()) == []


def test_an_archive_where_nothing_can_be_written_is_refused(weights: Path) -> None:
    with pytest.raises(ServingError, match=r"the folder of .*zfnet\.mar cannot be written \(Not a directory\)"):
        ensure_archive(weights / "deeper" / "zfnet.mar", weights, WorkerOptions())


def test_a_damaged_archive_is_built_anew(tmp_path: Path, weights: Path) -> None:
    """A byte of a file in it has changed, which its table of contents does not know."""
    out = tmp_path / "zfnet.mar"
    ensure_archive(out, weights, WorkerOptions())
    content = bytearray(out.read_bytes())
    content[content.index(weights.read_bytes())] ^= 1
    out.write_bytes(content)
    assert ensure_archive(out, weights, WorkerOptions())
    assert not ensure_archive(out, weights, WorkerOptions())


def test_an_archive_whose_manifest_is_damaged_is_refused(tmp_path: Path, weights: Path) -> None:
    out = tmp_path / "zfnet.mar"
    ensure_archive(out, weights, WorkerOptions())
    content = bytearray(out.read_bytes())
    content[content.index(b'"modelName"')] ^= 1
    out.write_bytes(content)
    with pytest.raises(ServingError, match="cannot be read: build it again"):
        read_packed(out)
