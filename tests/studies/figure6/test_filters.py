"""The numbers of Figure 6, against patterns whose numbers are known and against slow searches."""

import math

import pytest
import torch
from torch import Tensor

from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.pictures.labelled import Pictures
from zfnet_explainer.studies.figure6.figure import number_table
from zfnet_explainer.studies.figure6.filters import Peaks, find_peaks, high_share, numbers, project_peaks, seen
from zfnet_explainer.studies.tables import percent

from ...chains import like_zfnet

SIZE = (3, 37, 41)
PREPROCESSING = Preprocessing(37, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def pictures(count: int) -> Pictures:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *SIZE), generator=generator, dtype=torch.uint8)
    return Pictures(images, torch.zeros(count, dtype=torch.long), tuple("x" * count), ("y",))


def wave(down: float, across: float, side: int) -> Tensor:
    """Cosine of so many cycles a pixel [1, 1, side, side]."""
    rows, cols = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.cos(2 * math.pi * (down * rows + across * cols))[None, None]


@pytest.mark.parametrize(
    ("pattern", "share"),
    [
        (torch.ones(1, 3, 64, 64), 0),
        (wave(0.5, 0.5, 48), 1),
        (wave(1 / 8, 0, 64), 0),
        (wave(0, 1 / 4, 64), 1),
        (wave(3 / 8, 1 / 16, 128), 1),
        (wave(1 / 8, 0, 64) + wave(0.3, 0.1, 64) * 2, 0.8),
    ],
    ids=["constant", "chessboard", "period 8", "period 4", "mixed directions", "a weaker and a stronger wave"],
)
def test_high_share_of_known_waves(pattern: Tensor, share: float) -> None:
    assert float(high_share(pattern)) == pytest.approx(share, abs=0.03)


def test_high_share_of_noise_does_not_depend_on_the_filters_size() -> None:
    expected = 1 - (31 / 64) ** 2  # of 64 frequencies an axis, 31 are below a quarter of a cycle
    for side in (7, 11):
        noise = torch.randn(400, 3, side, side, generator=torch.Generator().manual_seed(0))
        assert float(high_share(noise).mean()) == pytest.approx(expected, abs=0.003)
    assert number_table([]).note.endswith(f"white noise has {percent(expected, 0)}.")


def test_high_share_equals_the_slow_transform() -> None:
    pattern = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1)).double()
    energy, high = 0.0, 0.0
    for down in range(64):
        for across in range(64):
            turn = torch.tensor([[(down * r + across * c) / 64 for c in range(4)] for r in range(5)])
            size = float((pattern * torch.exp(-2j * math.pi * turn)).sum((1, 2)).abs().square().sum())
            energy += size
            high += size * (min(down, 64 - down) >= 16 or min(across, 64 - across) >= 16)
    assert float(high_share(pattern[None])) == pytest.approx(high / energy, rel=1e-6)


def test_dead_maps_stay_below_a_hundredth_of_the_median() -> None:
    peaks = Peaks(torch.tensor([0.0, 10.0, 0.099, 0.101, 400.0, 10.0, 11.0]), torch.zeros(7))
    assert peaks.dead.tolist() == [True, False, True, False, False, False, False]
    assert Peaks(torch.zeros(3), torch.zeros(3)).dead.all()


@pytest.mark.parametrize("batch", [2, 64])
def test_peaks_are_the_largest_values_over_all_pictures(batch: int) -> None:
    chain, val = like_zfnet(), pictures(5)
    found = find_peaks(chain, val, PREPROCESSING, batch)
    for layer, peaks in enumerate(found):
        for feature in range(len(peaks.values)):
            values = []
            for i in range(5):
                clean = chain.run(PREPROCESSING.standardise(val.images[i])[None])
                values.append(float(clean.outputs[chain.features[layer]][0, feature].max()))
            assert float(peaks.values[feature]) == pytest.approx(max(values), rel=1e-5)
            assert int(peaks.pictures[feature]) == values.index(max(values))


def test_every_fourth_live_map_is_projected_from_its_peak() -> None:
    chain, val = like_zfnet(), pictures(5)
    chain.get_parameter("conv2.weight")[3] = 0
    chain.get_parameter("conv2.bias")[3] = -1
    first, second = find_peaks(chain, val, PREPROCESSING)
    projected = project_peaks(chain, val, PREPROCESSING, second)
    assert [one.feature for one in projected] == [0, 5], "every fourth in order, without the dead one"
    for one in projected:
        assert one.activation == pytest.approx(float(second.values[one.feature]), rel=1e-5)
        assert float(seen(one).abs().max()) > 0
        assert float(one.projection.square().sum()) == pytest.approx(float(seen(one).square().sum()))
    found = numbers(chain, (first, second), projected)
    assert (found.dead, found.maps) == ((0, 1), (6, 8))
    weights = chain.get_parameter("conv1.weight")
    sizes = sorted(math.sqrt(sum(v * v for v in w.flatten().tolist()) / w.numel()) for w in weights)
    assert found.largest == pytest.approx(sizes[-1])
    assert found.dominance == pytest.approx(sizes[-1] / sizes[2]), "of six, the third smallest is the median"
    shares = [float(high_share(seen(one)[None])) for one in projected]
    assert found.high_projections == pytest.approx(sum(shares) / 2)
