"""The numbers of Figure 6, against patterns whose numbers are known and against slow searches."""

import math

import pytest
import torch

from zfnet_explainer.net.record import Preprocessing
from zfnet_explainer.pictures.labelled import Pictures
from zfnet_explainer.studies.figure6 import filters
from zfnet_explainer.studies.figure6.figure import projection_mosaic
from zfnet_explainer.studies.figure6.filters import Peaks, find_peaks, numbers, project_peaks, seen
from zfnet_explainer.studies.first_layer import high_share

from ...chains import like_zfnet

SIZE = (3, 37, 41)
PREPROCESSING = Preprocessing(37, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def pictures(count: int) -> Pictures:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *SIZE), generator=generator, dtype=torch.uint8)
    return Pictures(images, torch.zeros(count, dtype=torch.long), tuple("x" * count), ("y",))


def test_dead_maps_stay_below_a_hundredth_of_the_median() -> None:
    peaks = Peaks(torch.tensor([0.0, 10.0, 0.099, 0.101, 400.0, 10.0, 11.0]), torch.zeros(7))
    assert peaks.dead.tolist() == [True, False, True, False, False, False, False]
    assert Peaks(torch.zeros(3), torch.zeros(3)).dead.all()


@pytest.mark.parametrize("batch", [2, 64])
def test_peaks_are_the_largest_values_over_all_pictures(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "BATCH", batch)
    chain, val = like_zfnet(), pictures(5)
    found = find_peaks(chain, val, PREPROCESSING)
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
    assert found.high_filters == pytest.approx(float(high_share(weights).mean()))
    shares = [float(high_share(seen(one)[None])) for one in projected]
    assert found.high_projections == pytest.approx(sum(shares) / 2)


def test_a_net_whose_second_layer_is_dead_has_a_number_less() -> None:
    chain, val = like_zfnet(), pictures(5)
    chain.get_parameter("conv2.weight").zero_()
    chain.get_parameter("conv2.bias").fill_(-1)
    peaks = find_peaks(chain, val, PREPROCESSING)
    projected = project_peaks(chain, val, PREPROCESSING, peaks[1])
    assert projected == []
    found = numbers(chain, peaks, projected)
    assert (found.dead, found.maps, found.high_projections) == ((0, 8), (6, 8), None)
    assert (projection_mosaic(projected) == 255).all()
