"""The nine strongest, against sorting everything; ties, one a picture, and the state of a search."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from tests.chains import like_zfnet, plain
from zfnet_explainer.pictures.atlas import NINE
from zfnet_explainer.studies.gallery.plan import Made
from zfnet_explainer.studies.gallery.search import Search, largest

MADE = Made("ab" * 32, 40, "cd" * 32, sample=None, seed=0, patches=False)


def added(values: Tensor, sizes: list[int]) -> Search:
    """A search over values [pictures, maps], in batches of these sizes."""
    search, first = Search((values.shape[1],), MADE), 0
    for size in sizes:
        search.add(list(range(first, first + size)), [values[first : first + size]])
        first += size
    assert first == len(values)
    return search


def brute(column: list[float]) -> list[tuple[float, int]]:
    """The nine largest positive values of a map and their pictures, equal ones in the order of the pictures."""
    ranked = sorted(((value, number) for number, value in enumerate(column)), key=lambda entry: (-entry[0], entry[1]))
    kept = [entry for entry in ranked if entry[0] > 0][:NINE]
    return kept + [(0.0, -1)] * (NINE - len(kept))


@pytest.mark.parametrize("sizes", [[40], [1] * 40, [9, 31], [3, 1, 20, 16]], ids=str)
@pytest.mark.parametrize("levels", [2, 4, 1000])
def test_the_nine_of_every_map_whatever_the_batches(sizes: list[int], levels: int) -> None:
    """With few levels nearly all values are equal to others, and many are zero."""
    generator = torch.Generator().manual_seed(levels)
    values = torch.randint(0, levels, (40, 12), generator=generator).float()
    values[:, 3] = 0
    values[7:, 4] = 0
    search = added(values, sizes)
    for feature in range(12):
        found = list(zip(search.values[0][feature].tolist(), search.pictures[0][feature].tolist(), strict=True))
        assert found == brute(values[:, feature].tolist())


def test_a_picture_counts_once_with_its_largest_value() -> None:
    chain = like_zfnet()
    x = torch.randn(5, *chain.input_size, generator=torch.Generator().manual_seed(1))
    found = largest(chain, x)
    net = plain(chain)
    layers = list(chain.named_children())
    for layer, name in enumerate(chain.features):
        stop = [n for n, _ in layers].index(name) + 1
        maps = net[:stop](x)
        assert found[layer].shape == maps.shape[:2], "one value a picture and map"
        expected = torch.tensor([[float(one.max()) for one in picture] for picture in maps])
        torch.testing.assert_close(found[layer], expected, rtol=1e-4, atol=1e-5)


def test_a_stored_search_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    values = torch.rand(30, 5, generator=torch.Generator().manual_seed(0))
    whole, half = added(values, [30]), added(values[:12], [12])
    half.files, half.classes = 12, half.classes + type(half.classes)({"n1": 12})
    half.save(tmp_path / "state.safetensors")
    again = Search.load(tmp_path / "state.safetensors")
    assert again is not None
    assert (again.made, again.files, again.classes) == (MADE, 12, {"n1": 12})
    again.add(list(range(12, 30)), [values[12:]])
    assert torch.equal(again.values[0], whole.values[0])
    assert torch.equal(again.pictures[0], whole.pictures[0])
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_without_a_state_there_is_no_search(tmp_path: Path) -> None:
    assert Search.load(tmp_path / "state.safetensors") is None


def state(metadata: dict[str, str]) -> bytes:
    """A file that safetensors can read."""
    return save({"values.0": torch.zeros(3, NINE), "pictures.0": torch.zeros(3, NINE)}, metadata)


@pytest.mark.parametrize(
    "content",
    [b"", b"no tensors", state({}), state({"search": "{"}), state({"search": "[]"}),
     state({"search": '{"made": {"count": 40}, "files": 0, "classes": {}}'})],
    ids=range(6),
)  # fmt: skip
def test_a_damaged_state_is_not_taken_and_not_destroyed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "unfinished" / "state.safetensors"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"unfinished/state\.safetensors is damaged .*: delete .*/unfinished to begin"):
        Search.load(path)
    assert path.read_bytes() == content
