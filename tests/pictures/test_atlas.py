"""An atlas is read as it was written, belongs to its weights, and is refused where it is not whole."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zfnet_explainer.net.checkpoint import load as load_checkpoint
from zfnet_explainer.net.geometry import Box
from zfnet_explainer.pictures.atlas import INDEX, NINE, BadAtlas, Layout, load_atlas

from ..samples import MODEL_STORE
from .atlases import SOURCES, grey, write_atlas

SHA = "ab" * 32
MAPS = {3: [0, 17, 200], 5: list(range(40))}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_atlas(tmp_path_factory.mktemp("atlas"), SHA, MAPS)


def test_every_tile_is_that_of_its_map_and_place(written: Path) -> None:
    atlas = load_atlas(written, SHA)
    assert atlas is not None
    for layer, features in MAPS.items():
        for feature in features:
            others = atlas.others(layer, feature, NINE)
            assert [other.source for other in others] == list(SOURCES)
            assert [other.activation for other in others] == [9.5 - place for place in range(NINE)]
            for place, other in enumerate(others):
                assert other.pixels.shape == ((9 if place % 2 else 16), 16, 3), "79 of 139 pixels, in tiles of 16"
                assert other.pixels[3:-3, 3:-3].mean() == pytest.approx(grey(feature, place), abs=8)


@pytest.mark.parametrize("count", [0, 1, 4, 9])
def test_as_many_as_are_asked_for_the_strongest_first(written: Path, count: int) -> None:
    atlas = load_atlas(written, SHA)
    assert atlas is not None
    assert [other.source for other in atlas.others(5, 7, count)] == list(SOURCES[:count])


def test_a_map_with_fewer_activations_has_fewer(tmp_path: Path) -> None:
    atlas = load_atlas(write_atlas(tmp_path, SHA, {1: [4]}, tiles=2), SHA)
    assert atlas is not None
    assert len(atlas.others(1, 4, NINE)) == 2


@pytest.mark.parametrize(("layer", "feature"), [(3, 1), (4, 0), (6, 0)])
def test_a_map_or_layer_that_is_not_there_has_none(written: Path, layer: int, feature: int) -> None:
    atlas = load_atlas(written, SHA)
    assert atlas is not None
    assert atlas.others(layer, feature, NINE) == ()


def test_tiles_do_not_overlap_and_stay_inside() -> None:
    for field, tile, maps in ((7, 49, 1), (27, 54, 2), (75, 75, 7), (139, 96, 33), (224, 5, 16)):
        layout = Layout(field, tile, maps)
        taken = np.zeros(layout.size, int)
        for block in range(maps):
            for place in range(NINE):
                rows, cols = layout.part(block, place, Box(5, 5, 5 + field, 5 + field))
                assert (rows.stop - rows.start, cols.stop - cols.start) == (tile, tile)
                assert taken[rows, cols].size == tile * tile
                taken[rows, cols] += 1
        assert taken.max() == 1


def test_without_an_index_there_is_no_atlas(tmp_path: Path) -> None:
    assert load_atlas(tmp_path / "nowhere", SHA) is None
    (tmp_path / "unfinished").mkdir()
    assert load_atlas(tmp_path, SHA) is None


def test_the_atlas_of_other_weights_is_refused(written: Path) -> None:
    with pytest.raises(BadAtlas, match=r"other weights \(ab.*, not cd.*: delete the folder, .* gallery DATA --weights"):
        load_atlas(written, "cd" * 32)


def changed(**fields: Any) -> str:
    """An index in which these fields of its first layer are others."""
    layer = {"layer": 3, "field": 7, "tile": 7, "patches": None, "maps": [], **fields}
    return json.dumps({"format": 1, "weights_sha256": SHA, "layers": [layer]})


@pytest.mark.parametrize(
    "index",
    ["", "{", "[]", "3", '{"format": 1}', '{"format": 2, "weights_sha256": "a"}', changed(),
     changed(projections={"file": "layer3.webp"}), changed(projections=None), changed(maps=[{"map": "x"}]),
     changed(maps=[{"map": 1, "strongest": [{"activation": 1, "source": "a", "class": "b", "box": [1, 2]}]}])],
)  # fmt: skip
def test_a_damaged_index_is_refused(written: Path, tmp_path: Path, index: str) -> None:
    folder = shutil.copytree(written, tmp_path / "copy")
    (folder / INDEX).write_text(index)
    with pytest.raises(BadAtlas, match=r"copy (is damaged|has format 2, not 1).*: delete the folder"):
        load_atlas(folder, SHA)


def test_a_damaged_or_missing_sheet_is_refused(written: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(written, tmp_path / "copy")
    sheet = folder / "layer5.webp"
    sheet.write_bytes(sheet.read_bytes()[:-1])
    with pytest.raises(BadAtlas, match=r"is damaged \(layer5.webp is not the file"):
        load_atlas(folder, SHA)
    sheet.unlink()
    with pytest.raises(BadAtlas, match=r"lacks layer5.webp \(No such file"):
        load_atlas(folder, SHA)


def test_the_shipped_atlas_is_that_of_the_shipped_weights_and_small() -> None:
    checkpoint = load_checkpoint(MODEL_STORE / "zfnet.safetensors")
    folder = MODEL_STORE / "zfnet.atlas"
    atlas = load_atlas(folder, checkpoint.record.weights_sha256)
    assert atlas is not None
    assert {layer: len(found.maps) for layer, found in atlas.layers.items()} == {1: 32, 2: 32, 3: 32, 4: 32, 5: 256}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 4 * 2**20
    assert all(found.patches is None for found in atlas.layers.values()), "no photographs"
    assert {path.name for path in folder.iterdir()} - set(atlas.files) <= {"notes.json"}
    for layer, found in atlas.layers.items():
        feature = next(iter(found.maps))
        for other in atlas.others(layer, feature, NINE):
            assert other.pixels.std() > 1
