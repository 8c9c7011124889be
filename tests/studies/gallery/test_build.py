"""A whole atlas against brute force, also after its making was killed; none is replaced by another."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.chains import plain
from zfnet_explainer.methods.deconvnet import project
from zfnet_explainer.pictures import stream
from zfnet_explainer.pictures.atlas import INDEX, NINE, Atlas, BadAtlas, load_atlas, read_sheet
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.display import patch_pixels, projection_pixels
from zfnet_explainer.studies.gallery import search
from zfnet_explainer.studies.gallery.build import UNFINISHED, chosen_maps
from zfnet_explainer.studies.gallery.plan import Plan
from zfnet_explainer.studies.gallery.sheets import DrawnSheet
from zfnet_explainer.studies.gallery.tiles import ChangedPictures

from . import tiny

PICTURES = 22
PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_pictures(tmp_path_factory.mktemp("data"), PICTURES)


@pytest.fixture(scope="module")
def whole(weights: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an atlas that was built in one go."""
    out = tmp_path_factory.mktemp("whole")
    tiny.built(weights, data, out)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_alike(found: Atlas, expected: Atlas | None) -> None:
    """The same but for the rounding of another process."""
    assert expected is not None
    assert found.index["made"] == expected.index["made"]
    for number, layer in expected.layers.items():
        assert found.layers[number].maps.keys() == layer.maps.keys()
        for feature in layer.maps:
            ours, theirs = (atlas.others(number, feature, NINE) for atlas in (found, expected))
            assert [one.source for one in ours] == [one.source for one in theirs]
            for one, other in zip(ours, theirs, strict=True):
                assert one.activation == pytest.approx(other.activation, rel=1e-5)
                assert np.abs(one.pixels.astype(float) - other.pixels).mean() < 1


def standardised(weights: Path, data: Path) -> dict[str, Tensor]:
    """Every picture by its name, as the net sees it."""
    preprocessing = tiny.checkpoint(weights).record.preprocessing
    found = {}
    for path in sorted(data.rglob("*.png")):
        pixels = torch.from_numpy(decode(path.read_bytes(), tiny.SIDE).pixels).permute(2, 0, 1)
        found[path.relative_to(data).as_posix()] = preprocessing.standardise(pixels)
    return found


def test_every_map_has_its_nine_strongest_pictures(weights: Path, data: Path, whole: Path) -> None:
    """Against every picture run alone through torch's own layers, all values sorted."""
    checkpoint = tiny.checkpoint(weights)
    atlas = load_atlas(whole, checkpoint.record.weights_sha256)
    assert atlas is not None
    net, names = plain(checkpoint.chain), [name for name, _ in checkpoint.chain.named_children()]
    pictures = standardised(weights, data)
    assert [len(layer.maps) for layer in atlas.layers.values()] == [4, 4, 7]
    for number, layer in atlas.layers.items():
        below = net[: names.index(checkpoint.chain.features[number - 1]) + 1]
        values = {name: below(x[None])[0].flatten(1).amax(1) for name, x in pictures.items()}
        for feature, found in layer.maps.items():
            column = {name: float(value[feature]) for name, value in values.items()}
            expected = sorted((name for name, value in column.items() if value > 0), key=lambda n: -column[n])[:NINE]
            assert [one.source for one in found] == expected
            assert [one.activation for one in found] == pytest.approx([column[name] for name in expected], rel=1e-4)
            assert [one.folder for one in found] == [name.split("/")[1] for name in expected]


def test_tiles_show_the_projections_and_what_they_saw(weights: Path, data: Path, whole: Path) -> None:
    """Exactly where they are stored without loss; elsewhere in lightness, as WebP keeps colours at half the size.

    A random net's projections are fine noise, the worst there is for WebP; the errors are shares of its deviation.
    """
    checkpoint = tiny.checkpoint(weights)
    chain, pictures = checkpoint.chain, standardised(weights, data)
    atlas = load_atlas(whole, checkpoint.record.weights_sha256)
    assert atlas is not None
    errors: dict[int, list[float]] = {}
    for number, layer in atlas.layers.items():
        assert layer.patches is not None
        patches = read_sheet(whole, *layer.patches, layer.projections.layout)
        for block, (feature, found) in enumerate(layer.maps.items()):
            for place, (one, other) in enumerate(zip(found, atlas.others(number, feature, NINE), strict=True)):
                activations = chain.run(pictures[one.source][None])
                [expected] = project(chain, activations, chain.features[number - 1], [feature])
                assert one.box == expected.receptive_field
                shown = projection_pixels(expected.projection, one.box)
                assert other.pixels.shape == shown.shape
                stored, light = other.pixels.mean(2), shown.mean(2)
                errors.setdefault(number, []).append(float((stored - light).std() / light.std()))
                seen = patch_pixels(decode((data / one.source).read_bytes(), tiny.SIDE).pixels, one.box)
                assert np.abs(patches.tile(block, place, one.box).astype(float) - seen).mean() < 6
    assert max(errors[1]) == 0
    assert max(errors[2]) < 0.5
    assert max(errors[3]) < 0.7


def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many pictures have been decoded since."""
    calls: list[int] = []

    def spied(encoded: bytes, size: int) -> object:
        calls.append(size)
        return decode(encoded, size)

    monkeypatch.setattr(stream, "decode", spied)
    return lambda: len(calls)


@pytest.fixture(scope="module")
def killed(weights: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An atlas whose making was killed after 20 decoded pictures, and later again while it projected."""
    out = tmp_path_factory.mktemp("killed")
    counts = (20, PICTURES - 16 + PICTURES + 2)
    line = [sys.executable, "-m", "tests.studies.gallery.killed", *map(str, (weights, data, out, *counts))]
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "handlers")])
    subprocess.run(line, env=os.environ | {"PYTHONPATH": path}, check=True)
    return out / "0", out / "1"


@pytest.mark.slow
def test_killed_while_it_searches_and_while_it_projects_it_goes_on(
    weights: Path, data: Path, whole: Path, killed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, out = killed
    assert {path.name for path in (first / UNFINISHED).iterdir()} == {"search.safetensors"}, "two batches of 8 are done"
    left = [layer for layer in (1, 2, 3) if not (out / UNFINISHED / f"layer{layer}.json").exists()]
    assert left in ([2, 3], [3])
    assert not (out / INDEX).exists()
    decoded = counted(monkeypatch)
    atlas = tiny.built(weights, data, out)
    sources = [{one.source for nine in atlas.layers[layer].maps.values() for one in nine} for layer in left]
    assert decoded() == sum(map(len, sources)), "neither the search nor a finished layer again"
    assert contents(out).keys() == contents(whole).keys()
    assert_alike(atlas, load_atlas(whole, tiny.checkpoint(weights).record.weights_sha256))


def test_what_is_finished_is_not_built_again(
    weights: Path, data: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, before = counted(monkeypatch), contents(whole)
    tiny.built(weights, data, whole)
    assert decoded() == 0
    assert contents(whole) == before


OTHERS = {
    "all maps": (Plan(sample=None, seed=0, patches=True), "4 maps a layer, not all maps"),
    "seed": (Plan(sample=4, seed=1, patches=True), "seed 0, not seed 1"),
    "two": (Plan(sample=3, seed=0, patches=False), "4 maps a layer, not 3 maps a layer; patches, not no patches"),
}


@pytest.mark.parametrize(("plan", "message"), OTHERS.values(), ids=OTHERS)
def test_an_atlas_is_not_replaced_by_that_of_another_plan(
    weights: Path, data: Path, whole: Path, plan: Plan, message: str
) -> None:
    before = contents(whole)
    with pytest.raises(BadAtlas, match=f"of {message}: ask for the same, delete it, or name another folder with --out"):
        tiny.built(weights, data, whole, plan)
    assert contents(whole) == before


def test_an_atlas_is_not_replaced_by_that_of_other_pictures_or_weights(
    weights: Path, whole: Path, tmp_path: Path
) -> None:
    before, more = contents(whole), tiny.write_pictures(tmp_path / "data", PICTURES + 1)
    with pytest.raises(BadAtlas, match=rf"of {PICTURES} pictures \(.*\), not {PICTURES + 1} pictures \(.*\): ask"):
        tiny.built(weights, more, whole)
    trained = tiny.write_weights(tmp_path, seed=4)
    with pytest.raises(BadAtlas, match=r"belongs to other weights \(.*\): delete the folder"):
        tiny.built(trained, more, whole)
    assert contents(whole) == before


def test_a_damaged_atlas_is_not_replaced(weights: Path, data: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "atlas"
    shutil.copytree(whole, out)
    (out / "layer2.webp").write_bytes(b"RIFF")
    before = contents(out)
    with pytest.raises(BadAtlas, match=r"is damaged \(layer2\.webp is not the file .*\): delete the folder"):
        tiny.built(weights, data, out)
    assert contents(out) == before


@pytest.mark.parametrize("lacking", ["made", "sample"])
def test_an_atlas_that_does_not_say_what_it_is_of_is_damaged(
    weights: Path, data: Path, whole: Path, tmp_path: Path, lacking: str
) -> None:
    out = tmp_path / "atlas"
    shutil.copytree(whole, out)
    index = json.loads((out / INDEX).read_text())
    del (index if lacking == "made" else index["made"])[lacking]
    (out / INDEX).write_text(json.dumps(index))
    with pytest.raises(BadAtlas, match=rf"is damaged \(atlas\.json: .*'{lacking}'.*\): delete the folder"):
        tiny.built(weights, data, out)


def broken_off(weights: Path, data: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run leaves that ends after the search."""
    with monkeypatch.context() as broken:
        broken.setattr(DrawnSheet, "save", Mock(side_effect=OSError("no room")))
        with pytest.raises(OSError, match="no room"):
            tiny.built(weights, data, out)


def test_what_has_been_found_is_not_lost_to_another_plan(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that broke off after the search, given again with one option less."""
    data, out = tiny.write_pictures(tmp_path / "data", 10), tmp_path / "atlas"
    broken_off(weights, data, out, monkeypatch)
    before = contents(out / UNFINISHED)
    with pytest.raises(BadAtlas, match=r"an unfinished atlas in .*/unfinished, of patches, not no patches: ask for"):
        tiny.built(weights, data, out, Plan(sample=4, seed=0, patches=False))
    assert contents(out / UNFINISHED) == before
    decoded = counted(monkeypatch)
    atlas = tiny.built(weights, data, out)
    sources = [{one.source for nine in layer.maps.values() for one in nine} for layer in atlas.layers.values()]
    assert decoded() == sum(map(len, sources)), "the search not again"


def test_an_unfinished_atlas_of_other_pictures_or_weights_is_kept(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the split was mistyped, or pictures were deleted that could not be read: hours may lie there."""
    data, out = tiny.write_pictures(tmp_path / "data", 10), tmp_path / "atlas"
    broken_off(weights, data, out, monkeypatch)
    before = contents(out / UNFINISHED)
    (tmp_path / "other").mkdir()
    other = tiny.write_weights(tmp_path / "other", seed=4)
    with pytest.raises(BadAtlas, match=r"an unfinished atlas in .*/unfinished, of weights [0-9a-f]{12}\.\.\., not "):
        tiny.built(other, data, out)
    (data / "val/n2/07.png").unlink()
    refused = r"/unfinished, of 10 pictures \(.*\), not 9 .*: ask for the same, delete it, or name another folder with"
    with pytest.raises(BadAtlas, match=refused):
        tiny.built(weights, data, out)
    assert contents(out / UNFINISHED) == before


def test_names_that_are_no_text_are_told_as_python_has_them(weights: Path, tmp_path: Path) -> None:
    """As of a file that was written where names were Latin-1."""
    data = tiny.write_pictures(tmp_path / "data", 6)
    strange = os.fsdecode(b"caf\xe9")
    (data / "val/n2/02.png").rename(data / f"val/n2/{strange}.png")
    (data / "val/n3").rename(data / f"val/{strange}")
    atlas = tiny.built(weights, data, tmp_path / "atlas")
    assert atlas.index["classes"] == {"n0": 2, "n1": 1, "n2": 1, "n4": 1, r"caf\udce9": 1}
    found = {
        (one.source, one.folder) for layer in atlas.layers.values() for nine in layer.maps.values() for one in nine
    }
    assert {(r"val/n2/caf\udce9.png", "n2"), (r"val/caf\udce9/03.png", r"caf\udce9")} < found


def test_a_damaged_picture_is_left_out(weights: Path, tmp_path: Path) -> None:
    pictures = tiny.write_pictures(tmp_path / "data", 6)
    (pictures / "val/n2/02.png").write_bytes(b"no picture")
    atlas = tiny.built(weights, pictures, tmp_path / "atlas")
    assert atlas.index["classes"] == {"n0": 2, "n1": 1, "n3": 1, "n4": 1}
    assert (atlas.pictures, atlas.index["made"]["count"]) == (5, 6)
    sources = {one.source for layer in atlas.layers.values() for nine in layer.maps.values() for one in nine}
    assert sources == {"val/n0/00.png", "val/n0/05.png", "val/n1/01.png", "val/n3/03.png", "val/n4/04.png"}
    assert all(len(nine) <= 5 for layer in atlas.layers.values() for nine in layer.maps.values())


@pytest.mark.parametrize(("bad", "strict"), [(1, True), (2, False)])
def test_too_many_damaged_pictures_are_an_error(weights: Path, tmp_path: Path, bad: int, strict: bool) -> None:
    pictures = tiny.write_pictures(tmp_path / "data", 6)
    for name in ("n2/02.png", "n4/04.png")[:bad]:
        (pictures / "val" / name).write_bytes(b"no picture")
    with pytest.raises(
        ValueError, match=rf"^{bad} of 6 pictures cannot be read, .* such as val/n[24]/0[24]\.png: these"
    ):
        tiny.built(weights, pictures, tmp_path / "atlas", strict=strict)


def test_pictures_that_change_meanwhile_are_an_error(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tiny.write_pictures(tmp_path / "data", 6)
    add = search.Search.add

    def then_change(*arguments: object) -> None:
        add(*arguments)  # type: ignore[arg-type]
        Image.new("RGB", (tiny.SIDE, tiny.SIDE)).save(data / "val/n1/01.png")

    monkeypatch.setattr(search.Search, "add", then_change)
    with pytest.raises(ChangedPictures, match=r"n1/01.png has changed since it was searched: delete .*unfinished"):
        tiny.built(weights, data, tmp_path / "atlas")


def test_chosen_maps_are_all_of_the_last_layer_and_the_seeds_sample_below() -> None:
    counts = (96, 384, 20, 256)
    maps = chosen_maps(counts, 32, 5)
    assert [len(chosen) for chosen in maps] == [32, 32, 20, 256]
    assert all(chosen == sorted(set(chosen)) and max(chosen) < n for chosen, n in zip(maps, counts, strict=True))
    assert maps == chosen_maps(counts, 32, 5)
    assert maps[:2] != chosen_maps(counts, 32, 6)[:2]
    assert [len(chosen) for chosen in chosen_maps(counts, None, 5)] == list(counts)
