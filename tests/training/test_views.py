"""Random views, and who of several processes sees which."""

import multiprocessing
import shutil
import sys
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from zfnet_explainer.pictures.labelled import Pictures, StoredPictures, split_listing
from zfnet_explainer.training import views
from zfnet_explainer.training.process import Process
from zfnet_explainer.training.recipe import Augmentation, Phase, Recipe
from zfnet_explainer.training.views import RandomViews, batches, check_shared_memory, drawn, fitting

from ..needs import hardware
from ..pictures.splits import STRICT

FreeSpace = namedtuple("FreeSpace", "free")
RECIPE = Recipe((Phase(32, 50),), batch=4, learning_rate=0.1, dropout=0.5)


def ramps(count: int) -> Pictures:
    """Pictures that grow from left to right and from top to bottom; their third channel counts them."""
    rows, cols = torch.meshgrid(torch.arange(50), torch.arange(50), indexing="ij")
    images = [torch.stack([rows * 5, cols * 5, torch.full_like(rows, i)]) for i in range(count)]
    return Pictures(torch.stack(images).to(torch.uint8), torch.arange(count) + 3, tuple("x" * count), ("y",))


@pytest.mark.parametrize(("smallest", "largest"), [(0.25, 1.0), (0.6, 1.0), (0.25, 0.5)])
def test_random_views_are_crops_and_mirror_images(smallest: float, largest: float) -> None:
    mirrored, areas = set(), []
    for epoch in range(40):
        view, label = RandomViews(ramps(1), replace(RECIPE, phases=(Phase(32, 50, (smallest, largest)),)), epoch)[0]
        assert (view.shape, view.dtype, label) == ((3, 32, 32), torch.uint8, 3)
        assert (view[2] == 0).all()
        vertical, horizontal = view[0].int(), view[1].int()
        assert (vertical.diff(dim=0) >= 0).all(), "never upside down"
        mirrored.add(bool(horizontal[0, 0] > horizontal[0, -1]))
        height, width = (abs(int(x[-1, -1] - x[0, 0])) / 5 + 1 for x in (vertical, horizontal))
        areas.append(height * width / 2500)
    assert mirrored == {True, False}
    assert smallest - 0.05 < min(areas) < smallest + 0.15
    assert 0.8 * largest < max(areas) <= largest + 0.05


def test_strong_views_are_plain_ones_and_one_change_or_an_erased_rectangle() -> None:
    """The same crop and flip; then some pictures as they are, some of other colours or bent, some with grey in them."""
    recipe = replace(RECIPE, augmentation=Augmentation.STRONG)
    pictures = replace(ramps(1), images=ramps(1).images.clamp(max=100))
    pairs = [[RandomViews(pictures, one, epoch)[0][0] for one in (RECIPE, recipe)] for epoch in range(50)]
    assert {(strong.shape, strong.dtype) for _, strong in pairs} == {((3, 32, 32), torch.uint8)}
    changed = [float((plain != strong).any(0).float().mean()) for plain, strong in pairs]
    assert min(changed) == 0, "identity is one of the changes"
    assert max(changed) > 0.9
    erased = [_rectangle(plain, strong) for plain, strong in pairs]
    assert any(0.02 <= share <= 0.34 for share in erased), "2 to 33 % of a picture that is left alone but for that"


def _rectangle(plain: torch.Tensor, strong: torch.Tensor) -> float:
    """The share of a view that a grey rectangle covers, 0 where anything else differs."""
    grey = (strong == 127).all(0)
    rows, cols = grey.any(1), grey.any(0)
    full = torch.equal(grey, rows[:, None] & cols)
    return float(grey.float().mean()) if full and torch.equal(plain[:, ~grey], strong[:, ~grey]) else 0.0


@pytest.mark.parametrize("augmentation", Augmentation)
def test_a_view_follows_from_seed_epoch_and_index(augmentation: Augmentation) -> None:
    recipe = replace(RECIPE, augmentation=augmentation)
    pictures = replace(ramps(2), images=ramps(1).images.expand(2, -1, -1, -1))
    first = RandomViews(pictures, recipe, 0)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    view = first[0][0]
    assert torch.equal(torch.get_rng_state(), state), "dropout's numbers stay as they are"
    torch.manual_seed(6)
    assert torch.equal(first[0][0], view)
    others = (first[1], RandomViews(pictures, recipe, 1)[0], RandomViews(pictures, replace(recipe, seed=1), 0)[0])
    assert not any(torch.equal(other, view) for other, _ in others)


@pytest.mark.parametrize(("world", "count"), [(2, 21), (4, 23), (1, 4)])
def test_processes_share_the_batches_of_a_lone_one(world: int, count: int) -> None:
    def seen(rank: int, world: int, epoch: int) -> Iterator[list[int]]:
        process = Process(torch.device("cpu"), Console(quiet=True), loaders=0, rank=rank, world=world)
        for images, labels in batches(ramps(count), RECIPE, epoch, process):
            assert torch.equal(images[:, 2, 0, 0].int() + 3, labels.int())
            yield labels.tolist()

    alone = list(seen(0, 1, 0))
    together = [list(seen(rank, world, 0)) for rank in range(world)]
    assert [sorted(chain.from_iterable(shares)) for shares in zip(*together, strict=True)] == [sorted(b) for b in alone]
    assert len(alone) == count // 4
    assert len(set(chain.from_iterable(alone))) == 4 * (count // 4), "each picture once"
    assert alone != list(seen(0, 1, 1)) or count == 4


@pytest.mark.parametrize(
    ("batch", "world", "loaders", "needed"),
    [(64, 1, 2, 46), (128, 1, 2, 92), (64, 1, 1, 28), (128, 2, 2, 92), (512, 1, 0, 0)],
)
def test_loaders_without_room_for_their_batches_are_refused(
    batch: int, world: int, loaders: int, needed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures of 224 x 224 bytes for each colour; all processes of a machine share its memory."""
    recipe = replace(RECIPE, phases=(Phase(128, 1), Phase(224, 1)), batch=batch)
    process = Process(torch.device("cpu"), Console(), loaders, world=world, neighbours=world)
    monkeypatch.setattr(views, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: FreeSpace(needed << 20))
    check_shared_memory(recipe, process)
    if needed:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: FreeSpace((needed - 1) << 20))
        with pytest.raises(ValueError, match=rf"{needed} MiB .* has {needed - 1} MiB free: .*--loaders 0"):
            check_shared_memory(recipe, process)


@pytest.mark.parametrize(("free", "loaders"), [(1 << 40, 8), (64 << 20, 2), (0, 0)])
def test_as_many_loaders_as_shared_memory_has_place_for(
    free: int, loaders: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch takes 64 x 3 x 224 x 224 bytes, 9.2 MiB: a loader has two ready, and one more is used."""
    monkeypatch.setattr(views, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: FreeSpace(free))
    recipe = replace(RECIPE, phases=(Phase(224, 1),), batch=64)
    process = Process(torch.device("cpu"), Console(), 8)
    assert fitting(recipe, process) == replace(process, loaders=loaders)


@hardware(sys.platform == "linux", "Linux, where loaders are forked")
def test_loaders_read_the_pictures_that_are_in_memory_where_they_lie() -> None:
    """Started in another way, as Python 3.14 does by default, each would be given a copy of all in shared memory."""
    before, pictures = multiprocessing.get_start_method(), ramps(8)
    multiprocessing.set_start_method("spawn", force=True)
    try:
        process = Process(torch.device("cpu"), Console(quiet=True), loaders=1)
        assert len(list(batches(pictures, RECIPE, 0, process))) == 2
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert not pictures.images.is_shared()  # type: ignore[no-untyped-call]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("loaders", [0, 1])
def test_a_picture_that_can_be_read_no_more_is_told_in_a_line(loaders: int, tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / "train/n1").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (50, 50)).save(tmp_path / f"train/n1/{i}.png")
    stored = StoredPictures(split_listing(tmp_path, "train", STRICT), 50)
    (tmp_path / "train/n1/2.png").unlink()
    told = (
        "train/n1/2.png: it cannot be read: No such file or directory; it could be read when the run began: see to it "
    )
    with pytest.raises(ValueError, match=f"^{told}and give the same command again, which goes on where it was$"):
        list(drawn(batches(stored, RECIPE, 0, Process(torch.device("cpu"), Console(quiet=True), loaders))))
