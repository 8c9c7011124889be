"""A net on disk: what comes back, and what is said where it cannot."""

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zfnet_explainer.net import checkpoint
from zfnet_explainer.net.chain import Chain
from zfnet_explainer.net.checkpoint import load, save, write_record
from zfnet_explainer.net.described import describe
from zfnet_explainer.net.record import BadCheckpoint, ClassName, Preprocessing, Record
from zfnet_explainer.net.thin import linear
from zfnet_explainer.net.zfnet import zfnet

from ..chains import named, seeded
from ..room import room_for

RECORD = Record(
    name="tiny",
    architecture="tiny",
    classes=(ClassName("n01", "tench"), ClassName("n02", "épagneul"), ClassName("n03", "golf ball")),
    preprocessing=Preprocessing(8, (0.5, 0.25, 0.125), (0.25, 0.5, 1.0)),
    training={"images": 7, "recipe": {"batch": 2}},
    validation={"top1": 0.5, "images": 4},
    licence="Apache-2.0",
)
Damage = Callable[[Path], object]


def tiny(classes: int, ranks: Mapping[str, int]) -> Chain:
    dense = (nn.Flatten(), linear(144, 10, ranks.get("fc1")), nn.ReLU(), nn.Linear(10, classes))
    return Chain(named(nn.Conv2d(3, 4, 3), nn.ReLU(), *dense), (3, 8, 8))


@pytest.fixture(autouse=True)
def _tiny_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checkpoint.ARCHITECTURES, "tiny", tiny)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    save(seeded(tiny(3, {}), 0), RECORD, path)
    return path


def rehash(path: Path) -> None:
    """Make the record say that these are its weights."""
    edit(path, lambda fields: fields.update(weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest()))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = path.with_suffix(".json")
    fields = json.loads(record.read_text())
    change(fields)
    record.write_text(json.dumps(fields))


def resave(path: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    rehash(path)


def test_comes_back_within_half_precision(stored: Path) -> None:
    original, loaded = seeded(tiny(3, {}), 0), load(stored)
    back = loaded.chain.state_dict()
    for key, value in original.state_dict().items():
        assert back[key].dtype == torch.float32
        if value.ndim == 1:
            assert torch.equal(back[key], value), key
        else:
            torch.testing.assert_close(back[key], value, rtol=2**-11, atol=2**-25)
    assert not torch.equal(back["conv1.weight"], original.state_dict()["conv1.weight"]), "stored in half precision"
    assert not loaded.chain.training
    assert not any(p.requires_grad for p in loaded.chain.parameters())


def test_the_record_comes_back_with_the_hash(stored: Path) -> None:
    digest = hashlib.sha256(stored.read_bytes()).hexdigest()
    assert load(stored).record == replace(RECORD, weights_sha256=digest)


def test_products_come_back_as_thin_as_they_were(tmp_path: Path) -> None:
    chain, path = seeded(tiny(3, {"fc1": 2}), 0), tmp_path / "net.safetensors"
    save(chain, RECORD, path)
    shapes = {key: tuple(value.shape) for key, value in load_file(path).items()}
    assert (shapes["fc1.weight.up"], shapes["fc1.weight.down"]) == ((10, 2), (2, 144))
    assert "fc1.weight" not in shapes
    loaded = load(path).chain
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded(x), chain(x), rtol=0, atol=4e-3)
    up, down = (loaded.get_parameter(f"fc1.weight.{part}") for part in ("up", "down"))
    full = tiny(3, {})
    shared = {key: value for key, value in loaded.state_dict().items() if "fc1.weight" not in key}
    full.load_state_dict(shared | {"fc1.weight": up @ down})
    torch.testing.assert_close(full(x), loaded(x), rtol=0, atol=1e-5)


def test_zfnet_comes_back(tmp_path: Path) -> None:
    chain = seeded(zfnet(10, {"fc6": 3, "fc7": 2}), 0)
    path = tmp_path / "zfnet.safetensors"
    classes = tuple(ClassName(str(i), str(i)) for i in range(10))
    preprocessing = replace(RECORD.preprocessing, size=224)
    record = replace(RECORD, architecture="zfnet", classes=classes, preprocessing=preprocessing)
    save(chain, record, path)
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    ours, theirs = load(path).chain.run(x).outputs, chain.run(x).outputs
    for name in ("pool5", "fc8"):
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=4e-3 * float(theirs[name].abs().max()))


def _write(text: str) -> Damage:
    return lambda path: path.with_suffix(".json").write_text(text)


def _edit(**fields: object) -> Damage:
    return lambda path: edit(path, lambda record: record.update(fields))


def _resave(change: Callable[[dict[str, Tensor]], object]) -> Damage:
    return lambda path: resave(path, change)


def _in_place_of_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _cut_and_rehash(path: Path) -> None:
    _cut(path)
    rehash(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(Path.unlink, "cannot read the weights .*No such file", id="no weights"),
        pytest.param(
            lambda path: path.with_suffix(".json").unlink(),
            "is no checkpoint: its record .* is missing; .* import",
            id="no record",
        ),
        pytest.param(_in_place_of_a_folder, "cannot read the weights .*Is a directory", id="a folder"),
        pytest.param(_cut, "not the file its record describes .*fetch both again", id="truncated"),
        pytest.param(_cut_and_rehash, "not a safetensors file", id="truncated, hash right"),
        pytest.param(_edit(weights_sha256="0" * 64), r"recorded 000000000000\.\.\.", id="other hash"),
        pytest.param(lambda path: edit(path, lambda f: f.pop("weights_sha256")), "not the file", id="no hash"),
        pytest.param(_write("{"), "not a checkpoint's record", id="not JSON"),
        pytest.param(_write("[]"), "not a checkpoint's record", id="a list"),
        pytest.param(_write("{}"), "not a checkpoint's record: .*classes", id="empty"),
        pytest.param(_edit(classes=["n01"]), "not a checkpoint's record", id="classes without labels"),
        pytest.param(_edit(extra=1), "not a checkpoint's record: .*extra", id="unknown field"),
        pytest.param(_edit(preprocessing={"size": 8}), "not a checkpoint's record: .*mean", id="no mean"),
        pytest.param(
            _edit(architecture="resnet"), r"'resnet' is none of \['tiny', 'zfnet'\]", id="unknown architecture"
        ),
        pytest.param(_edit(architecture="zfnet"), "does not hold a zfnet", id="other architecture"),
        pytest.param(_edit(classes=[{"synset": "a", "label": "b"}]), "does not hold a tiny: .*fc2", id="class count"),
        pytest.param(
            _edit(preprocessing={"size": 16, "mean": [0.5] * 3, "std": [0.5] * 3}),
            "a tiny sees pictures of 8 x 8 pixels, but its record's `preprocessing.size` is 16: fetch both again",
            id="another size",
        ),
        pytest.param(
            _resave(lambda t: t.update({"fc2.weight": torch.zeros(3, 11)})), "size mismatch for fc2.weight", id="shape"
        ),
        pytest.param(_resave(lambda t: t.pop("fc2.bias")), "Missing key.*fc2.bias", id="tensor missing"),
        pytest.param(_resave(lambda t: t.update(more=torch.zeros(1))), "Unexpected key.*more", id="tensor too many"),
        pytest.param(
            _resave(lambda t: t.update({"fc1.weight.up": torch.zeros(1)})), "does not hold a tiny", id="half a product"
        ),
    ],
)
def test_what_cannot_be_used_is_said(stored: Path, damage: Damage, message: str) -> None:
    damage(stored)
    with pytest.raises(BadCheckpoint, match=f"(?s){message}"):
        load(stored)


class Bomb:
    """A pickle that leaves a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("dump", [pickle.dump, torch.save], ids=["pickle", "torch.save"])
def test_never_unpickles(stored: Path, tmp_path: Path, dump: Callable[..., None]) -> None:
    mark = tmp_path / "ran"
    with stored.open("wb") as file:
        dump(Bomb(mark), file)
    rehash(stored)
    with pytest.raises(BadCheckpoint, match="not a safetensors file"):
        load(stored)
    assert not mark.exists()


def test_standardise_by_hand() -> None:
    pixels = torch.tensor([255, 0, 51], dtype=torch.uint8).view(3, 1, 1)
    expected = torch.tensor([2.0, -0.5, 0.075]).view(3, 1, 1)
    result = RECORD.preprocessing.standardise(pixels)
    torch.testing.assert_close(result, expected)
    assert torch.equal(RECORD.preprocessing.standardise(pixels.repeat(2, 1, 1, 1)), result.repeat(2, 1, 1, 1))


@pytest.mark.parametrize(
    "name", ["猫", "قطة سيامية", "می\u200cخواهم", "a \"quoted\" 'one'", "<b>", "naïve, | # \\", "🐈\u200d⬛"]
)
def test_a_class_may_be_called_in_any_script(stored: Path, name: str) -> None:
    record = replace(load(stored).record, classes=(ClassName(name, name), *load(stored).record.classes[1:]))
    write_record(record, stored)
    assert load(stored).record.classes[0].label == name


@pytest.mark.parametrize("name", ["", " ", "two\nlines", "a\ttab", "\x1b[31m", "\u2028", "\udcff"])
def test_what_no_line_can_hold_is_no_name(stored: Path, name: str) -> None:
    for names in ((name, "label"), ("n01", name)):
        with pytest.raises(ValueError, match="a class is called by one line of text that is not blank"):
            ClassName(*names)
    content = json.loads(stored.with_suffix(".json").read_text())
    content["classes"][0]["label"] = name
    stored.with_suffix(".json").write_text(json.dumps(content))
    with pytest.raises(BadCheckpoint, match="a class is called by one line of text"):
        load(stored)


@pytest.mark.parametrize("licence", ["", "MIT\n\nCopyright 2024", "CC BY 4.0\tsee LICENSE"])
def test_a_net_loads_under_terms_that_no_line_holds(stored: Path, licence: str) -> None:
    """They are checked where a net is made; those of one that was made before cost nobody its answers."""
    edit(stored, lambda fields: fields.update(licence=licence))
    assert load(stored).record.licence == licence


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 0}, "`size` is a number of pixels from 1, not 0"),
        ({"size": -4}, "`size`"),
        ({"size": 8.0}, "`size`"),
        ({"size": "8"}, "`size` .*not '8'"),
        ({"crop": 0}, "`crop`"),
        ({"crop": float("nan")}, "`crop`"),
        ({"crop": "1"}, "`crop`"),
        ({"mean": (0.5, 0.5)}, "`mean` and `std` have a number for each of 3 channels"),
        ({"mean": ("0.5", "0.5", "0.5")}, "`mean`"),
        ({"mean": "0.5"}, "`mean`"),
        ({"mean": 0.5}, "`mean`"),
        ({"mean": (0.5, 0.5, float("inf"))}, "`mean`"),
        ({"std": (0.5, 0.5, float("nan"))}, "`std`"),
        ({"std": (0.5, 0.5, 0)}, "`std` over 0"),
        ({"std": (0.5, 0.5, -0.5)}, "`std` over 0"),
        ({"interpolation": "nearest"}, "`interpolation` is one of bicubic, bilinear"),
    ],
)
def test_preprocessing_that_cannot_be_is_refused(stored: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(RECORD.preprocessing, **fields)
    edit(stored, lambda record: record["preprocessing"].update(fields))
    with pytest.raises(BadCheckpoint, match="not a checkpoint's record"):
        load(stored)


def test_whoever_may_read_new_files_may_read_the_weights(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    save(seeded(tiny(3, {}), 0), RECORD, tmp_path / "net.safetensors")
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match=r"file"):
        save(seeded(tiny(3, {}), 0), RECORD, tmp_path / "file" / "net.safetensors")
    (tmp_path / "net.json").mkdir()
    with pytest.raises(IsADirectoryError, match=r"net\.json"):
        save(seeded(tiny(3, {}), 0), RECORD, tmp_path / "net.safetensors")


def test_a_full_disk_is_the_error_of_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    with room_for(100), pytest.raises(OSError, match=r"File too large: '.*net\.safetensors'"):
        save(seeded(tiny(3, {}), 0), RECORD, tmp_path / "net.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_net_whose_layers_do_not_fit_is_not_loaded(tmp_path: Path) -> None:
    layers = describe(tiny(3, {}))
    record = replace(RECORD, architecture="own", layers=({**layers[0], "out_channels": 5}, *layers[1:]))
    save(seeded(tiny(3, {}), 0), record, tmp_path / "net.safetensors")
    with pytest.raises(BadCheckpoint, match="does not hold a own: fc1: Linear takes 144, but is given 180 values"):
        load(tmp_path / "net.safetensors")
