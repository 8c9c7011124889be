"""`gallery` and `figures 2` as a person runs them."""

import io
import json
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.pictures.atlases import grey, write_atlas
from tests.room import room_for
from zfnet_explainer.commands.local import local_service
from zfnet_explainer.commands.main import app
from zfnet_explainer.net.record import ClassName
from zfnet_explainer.pictures.atlas import INDEX, BadAtlas, load_atlas
from zfnet_explainer.pictures.drawing.page import Page
from zfnet_explainer.studies.gallery.figure2 import figure_2
from zfnet_explainer.torchserve.devices import Device

from . import tiny


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "500")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_pictures(tmp_path_factory.mktemp("data"), 12)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_from_pictures_to_an_atlas_its_notes_and_its_figure(weights: Path, data: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table: grouping -->\nold\n<!-- end -->\n")
    arguments = ("gallery", data, "--weights", weights, "--maps", "3", "--device", "cpu")
    result = run(*arguments, "--notes", "--sample", "4", "--into", page)
    assert result.exit_code == 0, result.output
    sha256 = tiny.checkpoint(weights).record.weights_sha256
    atlas = load_atlas(weights.parent / "tiny.atlas", sha256)
    assert atlas is not None
    assert not any("patches" in path.name for path in (weights.parent / "tiny.atlas").iterdir())
    assert f"{weights.parent / 'tiny.atlas'}: 12 pictures" in result.output
    assert "Grouping: do a map's nine strongest pictures belong together?" in result.output
    assert "| 1 | 3 |" in page.read_text()
    assert "old" not in page.read_text()
    notes = json.loads((weights.parent / "tiny.atlas" / "notes.json").read_text())
    assert notes["weights_sha256"] == sha256
    assert [one["layer"] for one in notes["grouping"]] == [1, 2, 3]
    out = tmp_path / "new" / "figure.webp"
    result = run("figures", "2", "--weights", weights, "--out", out)
    assert result.exit_code == 0, result.output
    with Image.open(out) as figure:
        assert (figure.format, figure.width) == ("WEBP", 1794)


def test_notes_are_taken_of_the_atlas_that_is_there_and_of_no_other(weights: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "atlas"
    command = ("gallery", data, "--weights", weights, "--device", "cpu", "--out", out)
    assert run(*command, "--all-maps", "--patches", "--seed", "3").exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    result = run(*command, "--notes", "--sample", "4", "--seed", "5")
    assert result.exit_code == 0, result.output
    notes = json.loads((out / "notes.json").read_text())
    assert (notes["seed"], [one["maps"] for one in notes["grouping"]][:2]) == (5, [6, 8])
    result = run(*command, "--notes", "--patches", "--seed", "3")
    assert result.exit_code == 2
    assert f"there is already an atlas in {out}, of all maps, not 32 maps a layer: ask for the same" in result.output
    (out / "notes.json").unlink()
    other = tiny.write_pictures(tmp_path / "other", 13)
    result = run("gallery", other, "--weights", weights, "--device", "cpu", "--out", out, "--notes")
    assert result.exit_code == 2
    assert re.search(r"already an atlas in .*, of 12 pictures \(.*\), not 13 pictures \(.*\): ask for", result.output)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_nets_of_one_folder_have_each_an_atlas(data: Path, tmp_path: Path) -> None:
    nets = [tmp_path / "first.safetensors", tmp_path / "second.safetensors"]
    for seed, net in enumerate(nets):
        made = tiny.write_weights(tmp_path, seed)
        made.with_suffix(".json").rename(net.with_suffix(".json"))
        result = run("gallery", data, "--weights", made.rename(net), "--maps", "1", "--device", "cpu")
        assert result.exit_code == 0, result.output
    for net in nets:
        served = local_service(net, Device.CPU).explainer
        assert served.atlas is not None
        assert served.atlas.index["weights_sha256"] == served.record.weights_sha256


def test_where_the_disk_is_full_it_says_so_and_goes_on_once_there_is_room(
    weights: Path, data: Path, tmp_path: Path
) -> None:
    out, picture = tmp_path / "atlas", tmp_path / "figure.webp"
    command = ("gallery", data, "--weights", weights, "--maps", "3", "--device", "cpu", "--out", out)
    for size, file in ((1000, r"search\.safetensors"), (2**12, r"layer\d\.webp")):
        with room_for(size):
            result = run(*command)
        assert result.exit_code == 1
        said = rf"error: {re.escape(str(out))}/unfinished/{file} cannot be written \(File too large\)"
        assert re.search(said, result.stderr), result.stderr
    assert run(*command).exit_code == 0
    drawn = ("figures", "2", "--weights", weights, "--atlas", out, "--out", picture)
    with room_for(1000):
        result = run(*drawn)
    assert result.exit_code == 1
    assert f"error: {picture} cannot be written (File too large)" in result.stderr
    assert not picture.exists()
    assert run(*drawn).exit_code == 0


def test_patches_are_drawn_beside_the_projections(weights: Path, data: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "atlas", tmp_path / "figure.webp"
    drawn = ("figures", "2", "--weights", weights, "--atlas", out, "--out", picture)
    result = run("gallery", data, "--weights", weights, "--out", out, "--maps", "1", "--patches")
    assert result.exit_code == 0, result.output
    assert run(*drawn).exit_code == 0
    assert picture.exists()
    (out / "layer1-patches.webp").unlink()
    assert "lacks layer1-patches.webp" in run(*drawn).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["gallery", "DATA", "--weights", "nowhere.safetensors"],
            "cannot read the weights nowhere.safetensors: No such",
        ),
        (["gallery", "EMPTY", "--weights", "WEIGHTS"], "no pictures under"),
        (["gallery", "/nope", "--weights", "WEIGHTS"], "the folder /nope cannot be listed: No such file or directory"),
        (["gallery", "WEIGHTS", "--weights", "WEIGHTS"], "cannot be listed: Not a directory"),
        (["gallery", "DATA", "--weights", "WEIGHTS", "--device", "tpu"], "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
        (["gallery", "DATA", "--weights", "WEIGHTS", "--seed", "-1"], "Invalid value for '--seed'"),
        (["gallery", "DATA", "--weights", "WEIGHTS", "--out", f"{__file__}/x"], "test_commands.py/x: no files can be"),
        (
            ["figures", "2", "--weights", "WEIGHTS", "--atlas", "OWN", "--out", f"{__file__}/x.webp"],
            "test_commands.py: no files can be made",
        ),
        (["gallery", "DATA", "--into", __file__], "test_commands.py has no section <!-- table: NAME -->"),
        (["gallery", "DATA", "--into", "PAGE"], "--into is for the tables of the notes: leave it out, or ask for"),
        (["gallery", "DATA", "--sample", "128"], "--sample is of the pictures for the notes: leave it out, or ask for"),
        (["gallery", "DATA", "--maps", "5", "--all-maps"], "--maps are some of each layer, --all-maps all: leave one"),
        (["gallery", "DATA", "--weights", "WEIGHTS", "--out", "OTHER"], "belongs to other weights"),
        (["gallery", "DATA", "--weights", "WEIGHTS", "--notes", "--out", "OTHER"], "belongs to other weights"),
        (["figures", "2", "--weights", "WEIGHTS", "--out", "x.png"], "--out x.png: name a picture that ends in .webp"),
        (["figures", "2", "--weights", "WEIGHTS", "--seed", "-1"], "Invalid value for '--seed'"),
        (["figures", "2", "--weights", "WEIGHTS", "--atlas", "OTHER"], "belongs to other weights"),
        (["explain", "DATA", "--weights", "BESIDE"], "belongs to other weights"),
        (["package", "--weights", "BESIDE"], "belongs to other weights"),
    ],
)
def test_what_cannot_be_done(weights: Path, data: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "empty").mkdir()
    beside = tiny.write_weights(tmp_path)
    write_atlas(tmp_path / "tiny.atlas", "ab" * 32, {1: [0]})
    write_atlas(tmp_path / "own", tiny.checkpoint(weights).record.weights_sha256, {1: [0]})
    (tmp_path / "page.md").write_text("<!-- table: grouping -->\n<!-- end -->\n")
    places = {
        "DATA": data, "WEIGHTS": weights, "EMPTY": tmp_path / "empty", "BESIDE": beside, "OWN": tmp_path / "own",
        "OTHER": tmp_path / "tiny.atlas", "PAGE": tmp_path / "page.md",
    }  # fmt: skip
    result = run(*(str(places.get(argument, argument)) for argument in arguments))
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.output.split())


def test_an_atlas_that_is_missing_is_to_be_built_of_these_weights_and_there(weights: Path, tmp_path: Path) -> None:
    """Without them the command would build the shipped net's anew."""
    folder, out = tmp_path / "an atlas", tmp_path / "new" / "figure.webp"
    result = run("figures", "2", "--weights", weights, "--atlas", folder, "--out", out)
    assert result.exit_code == 2
    assert f"`zfnet-explainer gallery DATA --weights {weights} --out '{folder}'`" in result.output
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("searched", "inside"), [("data/val", "atlas"), ("data/val", "n1"), ("data", "val"), ("data", "val/n0/atlas")]
)
def test_an_atlas_among_its_pictures_is_refused(weights: Path, tmp_path: Path, searched: str, inside: str) -> None:
    tiny.write_pictures(tmp_path / "data", 6)
    before = sorted(tmp_path.rglob("*"))
    result = run("gallery", tmp_path / searched, "--weights", weights, "--out", tmp_path / searched / inside)
    assert result.exit_code == 2
    assert f"would lie inside {tmp_path}/data/val: name with --out a folder outside the pictures" in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_an_atlas_beside_the_split_is_none_of_its_pictures(weights: Path, tmp_path: Path) -> None:
    data = tiny.write_pictures(tmp_path / "data", 6)
    result = run("gallery", data, "--weights", weights, "--maps", "1", "--device", "cpu", "--out", data / "atlas")
    assert result.exit_code == 0, result.output
    assert f"{data / 'atlas'}: 6 pictures" in result.output


def test_an_unreadable_picture_is_left_out_or_with_strict_refused(weights: Path, tmp_path: Path) -> None:
    data = tiny.write_pictures(tmp_path / "data", 6)
    (data / "val/n2/02.png").write_bytes(b"no picture")
    arguments = ("gallery", data, "--weights", weights, "--maps", "1", "--device", "cpu")
    result = run(*arguments, "--out", tmp_path / "atlas")
    assert result.exit_code == 0, result.output
    assert "left out: val/n2/02.png: these bytes are not a picture" in result.output
    result = run(*arguments, "--out", tmp_path / "strict", "--strict")
    assert result.exit_code == 2
    assert "1 of 6 pictures cannot be read" in result.output
    assert not (tmp_path / "strict").exists()


def test_the_figure_is_the_seeds_and_none_where_no_map_has_anything_to_show(tmp_path: Path) -> None:
    record = tiny.checkpoint(tiny.write_weights(tmp_path)).record

    def drawn(tiles: int, seed: int = 0) -> bytes:
        folder = write_atlas(tmp_path / f"{tiles}", record.weights_sha256, {1: range(3), 5: range(13)}, tiles)
        atlas = load_atlas(folder, record.weights_sha256)
        assert atlas is not None
        return figure_2(atlas, folder, record, seed)

    whole, other = drawn(9), drawn(9, seed=1)
    assert whole != other
    heights = [np.asarray(Image.open(io.BytesIO(one)).convert("L")).shape[0] for one in (whole, other)]
    assert heights[0] == heights[1]
    with pytest.raises(BadAtlas, match=r"no map of .* has nine pictures.*: build the atlas over"):
        drawn(8)


def test_each_map_stands_above_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of forty maps, and two rows of the last layer: the greys of a block say whose it is."""
    record = tiny.checkpoint(tiny.write_weights(tmp_path)).record
    folder = write_atlas(tmp_path / "atlas", record.weights_sha256, {1: range(40), 2: range(3, 43)})
    atlas = load_atlas(folder, record.weights_sha256)
    assert atlas is not None
    pages = drawn_pages(monkeypatch)
    figure_2(atlas, folder, record, 0)
    figure = pages[0].figure
    numbers = [int(text.get_text()) for text in figure.texts if text.get_text().isdigit()]
    assert len({*numbers[:16]}) + len({*numbers[16:]}) == len(numbers) == 16 + 2 * 12
    for feature, ax in zip(numbers, figure.axes, strict=True):
        block = np.asarray(ax.images[0].get_array())
        first, last = (block[4:-4, 4:-4][at].mean() for at in (np.s_[:8, :8], np.s_[-8:, -8:]))
        assert (first, last) == (pytest.approx(grey(feature, 0), abs=8), pytest.approx(grey(feature, 8), abs=8))


@pytest.mark.parametrize(
    ("alike", "folder", "caption"),
    [(4, "n0", "170"), (5, "n0", "170: class 0 5/9"), (9, "", "170")],
    ids=["fewer than half", "more than half", "pictures of no class"],
)
def test_a_class_is_named_below_a_map_where_most_of_its_nine_are_of_it(
    alike: int, folder: str, caption: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tiny.checkpoint(tiny.write_weights(tmp_path)).record
    out = write_atlas(tmp_path / "atlas", record.weights_sha256, {4: [170]})
    index = out / INDEX
    index.write_text(re.sub(rf'"n0[0-{alike - 1}]"', f'"{folder}"', index.read_text()))
    atlas = load_atlas(out, record.weights_sha256)
    assert atlas is not None
    pages = drawn_pages(monkeypatch)
    figure_2(atlas, out, record, 0)
    assert caption in [text.get_text() for text in pages[0].figure.texts]


def drawn_pages(monkeypatch: pytest.MonkeyPatch) -> list[Page]:
    """Those that are drawn from now on."""
    pages: list[Page] = []
    png = Page.png

    def noted(page: Page) -> bytes:
        pages.append(page)
        return png(page)

    monkeypatch.setattr(Page, "png", noted)
    return pages


def test_captions_of_long_labels_leave_each_other_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes = (ClassName("n00", "Old English sheepdog"),)
    record = replace(tiny.checkpoint(tiny.write_weights(tmp_path)).record, name="猫-net", classes=classes)
    folder = write_atlas(tmp_path / "atlas", record.weights_sha256, {4: range(170, 178)})
    index = folder / INDEX
    index.write_text(re.sub(r'"n0\d"', '"n00"', index.read_text()))
    atlas = load_atlas(folder, record.weights_sha256)
    assert atlas is not None
    pages = drawn_pages(monkeypatch)
    figure_2(atlas, folder, record, 0)
    written = pages[0].figure.texts
    told = [text.get_text() for text in written if text.get_text().endswith(" 9/9")]
    assert len(told) == 8
    assert all(re.fullmatch(r"17\d: Old Englis[\w ]*… 9/9", text) for text in told), told
    places = [text.get_window_extent() for text in written]
    assert not [pair for pair in combinations(places, 2) if pair[0].overlaps(pair[1])]
    assert written[-1].get_text().startswith("U+732B-net · ")
