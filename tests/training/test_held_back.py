"""Which pictures are held back, and that nothing is learnt from them."""

import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from zfnet_explainer.accuracy.logits import logits, top1
from zfnet_explainer.pictures import stream
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.pictures.labelled import StoredPictures, split_listing
from zfnet_explainer.pictures.view import Picture
from zfnet_explainer.training.held_back import Part, hold_back
from zfnet_explainer.training.loop import Trainer

from ..chains import like_zfnet
from ..pictures.splits import STRICT, read_split
from ..samples import noise
from ..waiting import PATIENCE_S
from .runs import HERE, PREPROCESSING, RECIPE, SIDE, log, pictures


def test_that_share_of_each_class_is_held_back_and_no_picture_is_lost() -> None:
    source = pictures(63)  # 13 of the first three classes, 12 of the others
    kept, held = hold_back(source, 0.3)
    assert Counter(held.labels.tolist()) == {0: 4, 1: 4, 2: 4, 3: 4, 4: 4}
    assert sorted([*kept.names, *held.names]) == sorted(source.names)
    assert kept.classes == held.classes == source.classes
    for part in (kept, held):
        for i, name in enumerate(part.names):
            index = source.names.index(name)
            assert torch.equal(part.picture(i), source.images[index])
            assert int(part.labels[i]) == int(source.labels[index])


def test_a_picture_stays_on_its_side_when_the_order_changes_or_the_share_grows() -> None:
    source = pictures(60)
    backwards = replace(
        source, images=source.images.flip(0), labels=source.labels.flip(0), names=source.names[::-1]
    )  # fmt: skip
    _, held = hold_back(source, 0.25)
    _, same = hold_back(backwards, 0.25)
    _, more = hold_back(source, 0.5)
    assert set(held.names) == set(same.names) < set(more.names)
    assert set(held.names) != set(source.names[:15]), "not the first ones of each class"


def test_a_small_share_is_one_picture_of_each_class_and_a_lone_picture_is_an_error() -> None:
    assert sorted(hold_back(pictures(30), 0.01)[1].labels.tolist()) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="class e has a single picture: none can be held back"):
        hold_back(pictures(9), 0.2)


def test_shares_of_several_processes_are_all_of_it() -> None:
    _, held = hold_back(pictures(60), 0.25)
    names = [name for rank in range(2) for name in Part(held, torch.arange(rank, len(held), 2)).names]
    assert sorted(names) == sorted(held.names)
    assert names != list(held.names)


def test_a_run_measures_what_it_holds_back_and_learns_nothing_from_it(tmp_path: Path) -> None:
    """Other pixels in the part held back change its accuracy at most, and no weight."""
    source = pictures(20)
    _, held = hold_back(source, 0.25)
    other = replace(source, images=source.images.clone())
    other.images[held.indices] = 255 - other.images[held.indices]
    recipe, weights = replace(RECIPE, hold_back=0.25), []
    for name, one in (("first", source), ("second", other)):
        kept, measured = hold_back(one, 0.25)
        chain = like_zfnet(size=(3, SIDE, SIDE)).requires_grad_()
        run = Trainer(chain, recipe, kept, measured, PREPROCESSING, tmp_path / name, HERE)
        run.run()
        weights.append(run.trained().state_dict())
        rows = log(tmp_path / name)
        assert "val_top1" not in rows[0]
        share = top1(run.trained(), measured, PREPROCESSING, SIDE)
        assert float(rows[-1]["held_back_top1"]) == pytest.approx(share, abs=1e-3)
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_pictures_on_disk_are_measured_as_those_in_memory_are_and_decoded_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits until another one is being decoded."""
    for i in range(8):
        file = tmp_path / f"train/n{i % 2}/{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(SIDE, SIDE, seed=i)).save(file)
    _, expected = hold_back(read_split(tmp_path, "train", SIDE), 0.5)
    _, held = hold_back(StoredPictures(split_listing(tmp_path, "train", STRICT), SIDE), 0.5)
    two = threading.Barrier(2)

    def met(encoded: bytes, side: int) -> Picture:
        two.wait(PATIENCE_S)
        return decode(encoded, side)

    monkeypatch.setattr(stream, "usable_cores", lambda: 2)
    monkeypatch.setattr(stream, "decode", met)
    chain = like_zfnet(size=(3, SIDE, SIDE))
    found, wanted = (logits(chain, part, PREPROCESSING, SIDE, 2) for part in (held, expected))
    assert held.names == expected.names
    assert len(found) == 4
    assert torch.equal(found, wanted)
