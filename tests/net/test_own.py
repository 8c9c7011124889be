"""A net of one's own as a checkpoint: what comes back, what it cost, and what is refused."""

import copy
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from zfnet_explainer.net.checkpoint import load
from zfnet_explainer.net.layers import UnsupportedLayer
from zfnet_explainer.net.own import in_single, own_chain, save_checkpoint
from zfnet_explainer.net.record import BadCheckpoint, ClassName, Preprocessing

from ..chains import seeded
from ..needs import hardware

Norm = TypeVar("Norm", nn.BatchNorm1d, nn.BatchNorm2d)
PREPROCESSING = Preprocessing(16, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), crop=0.8, interpolation="bilinear")
CLASSES = ("cat", "dog", "bird")


def drawn(norm: Norm, seed: int) -> Norm:
    """With drawn statistics."""
    generator = torch.Generator().manual_seed(seed)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_(generator=generator)
    norm.running_var.uniform_(0.5, 2, generator=generator)
    return norm


def own_net() -> nn.Sequential:
    """Blocks of convolutions with and without normalisation, one of them used twice, and a normalised hidden layer."""
    norms = drawn(nn.BatchNorm2d(6), 0), drawn(nn.BatchNorm2d(6, affine=False), 1), drawn(nn.BatchNorm1d(10), 2)
    twice = nn.ReLU(inplace=True)
    net = nn.Sequential(
        OrderedDict(
            first=nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), norms[0], twice, nn.MaxPool2d(2)),
            second=nn.Sequential(nn.Conv2d(6, 6, 3), norms[1], twice, nn.LocalResponseNorm(5, alpha=0.1)),
            third=nn.Sequential(nn.Conv2d(6, 4, 3, stride=2), nn.ReLU()),
            flat=nn.Flatten(),
            hidden=nn.Sequential(nn.Linear(16, 10), norms[2], nn.ReLU(), nn.Dropout()),
            scores=nn.Linear(10, 3),
        )
    )
    return seeded(net, 0)


def pictures() -> Tensor:
    return torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(7))


def test_comes_back_with_normalisation_folded(tmp_path: Path) -> None:
    net, path = own_net(), tmp_path / "new" / "mine.safetensors"
    saved = save_checkpoint(net, path, classes=CLASSES, preprocessing=PREPROCESSING, full=True)
    loaded = load(path)
    for chain in (saved.chain, loaded.chain):
        torch.testing.assert_close(chain(pictures()), net(pictures()), rtol=0, atol=1e-5)
    assert loaded.record == saved.record
    assert loaded.record.name == "mine"
    assert loaded.record.architecture == "sequential"
    assert loaded.record.classes == tuple(ClassName(name, name) for name in CLASSES)
    assert loaded.record.preprocessing == PREPROCESSING
    assert loaded.record.validation is None
    assert loaded.record.storage == {
        "precision": "float32", "largest_logit_difference": 0.0, "pictures": 4, "drawn": "random",
    }  # fmt: skip
    assert [layer["kind"] for layer in loaded.record.layers] == [
        "Conv2d", "ReLU", "MaxPool2d", "Conv2d", "ReLU", "CrossMapNorm", "Conv2d", "ReLU",
        "Flatten", "Linear", "ReLU", "Dropout", "Linear",
    ]  # fmt: skip


def test_a_callers_default_device_changes_nothing(tmp_path: Path) -> None:
    net = own_net()
    expected = save_checkpoint(net, tmp_path / "mine.safetensors", classes=CLASSES, preprocessing=PREPROCESSING)
    with torch.device("meta"):
        found = save_checkpoint(net, tmp_path / "mine.safetensors", classes=CLASSES, preprocessing=PREPROCESSING)
    assert found.record == expected.record


def test_half_precision_costs_what_the_record_says(tmp_path: Path) -> None:
    net = own_net()
    files = {full: tmp_path / f"{full}.safetensors" for full in (False, True)}
    records = {
        full: save_checkpoint(net, path, classes=CLASSES, preprocessing=PREPROCESSING, full=full).record
        for full, path in files.items()
    }
    assert files[False].stat().st_size < files[True].stat().st_size
    storage = records[False].storage
    assert storage is not None
    assert storage["precision"] == "float16"
    scale = float(net(pictures()).abs().max())
    assert 0 < storage["largest_logit_difference"] < 0.01 * scale
    stored, whole = load(files[False]).chain, load(files[True]).chain
    difference = float((stored(pictures()) - whole(pictures())).abs().max())
    assert 0 < difference < 10 * storage["largest_logit_difference"], "other pictures, the same scale"


@pytest.mark.parametrize(
    ("device", "dtype"),
    [
        ("cpu", torch.float64),
        ("cpu", torch.bfloat16),
        ("cpu", torch.float16),
        pytest.param("cuda", torch.float16, marks=hardware(torch.cuda.is_available(), "a GPU that torch sees")),
    ],
)
def test_a_net_of_any_device_and_precision_is_stored_in_single(tmp_path: Path, device: str, dtype: torch.dtype) -> None:
    net = own_net().to(device, dtype)
    saved = save_checkpoint(net, tmp_path / "mine.safetensors", classes=CLASSES, preprocessing=PREPROCESSING, full=True)
    in_single = copy.deepcopy(net).to("cpu", torch.float32)
    torch.testing.assert_close(saved.chain(pictures()), in_single(pictures()), rtol=0, atol=1e-5)
    assert saved.record.storage is not None
    assert saved.record.storage["largest_logit_difference"] == 0
    assert {(value.device.type, value.dtype) for value in net.parameters()} == {(device, dtype)}


def test_the_callers_net_stays_as_it_is(tmp_path: Path) -> None:
    net = own_net().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    save_checkpoint(net, tmp_path / "mine.safetensors", classes=CLASSES, preprocessing=PREPROCESSING)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(module.training for module in net.modules())


def test_normalisation_without_weights_is_folded_after_a_linear_layer() -> None:
    norm = nn.BatchNorm1d(3, affine=False)
    net = seeded(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(392, 3), norm), 0)
    norm.running_mean, norm.running_var = torch.tensor([1.0, -2, 3]), torch.tensor([0.5, 2, 4])
    torch.testing.assert_close(own_chain(in_single(net), 16)(pictures()), net(pictures()), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param(
            lambda: [nn.Conv2d(3, 4, 3), nn.Sequential(drawn(nn.BatchNorm2d(4), 1), nn.ReLU())], id="after it"
        ),
        pytest.param(
            lambda: [nn.Sequential(nn.Conv2d(3, 4, 3)), drawn(nn.BatchNorm2d(4), 1), nn.ReLU()], id="before it"
        ),
        pytest.param(
            lambda: [
                nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Identity()), nn.Dropout2d()),
                nn.Identity(),
                nn.Sequential(nn.Sequential(drawn(nn.BatchNorm2d(4), 1)), nn.ReLU()),
            ],
            id="idle ones between",
        ),
    ],
)
def test_normalisation_is_folded_across_the_borders_of_sequences(layers: Callable[[], list[nn.Module]]) -> None:
    hidden = nn.Linear(784, 6), nn.Identity(), nn.Sequential(drawn(nn.BatchNorm1d(6), 2), nn.ReLU())
    net = seeded(nn.Sequential(*layers(), nn.Flatten(), *hidden, nn.Linear(6, 3)), 0)
    chain = own_chain(in_single(net), 16)
    torch.testing.assert_close(chain(pictures()), net(pictures()), rtol=0, atol=1e-5)
    kinds = [type(layer) for layer in chain]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]


def test_one_layer_used_twice_is_folded_into_each_of_its_norms() -> None:
    twice = nn.Conv2d(3, 3, 3)
    norms = [nn.Sequential(drawn(nn.BatchNorm2d(3), seed), nn.ReLU()) for seed in (1, 2)]
    net = seeded(nn.Sequential(twice, norms[0], twice, norms[1], nn.Flatten(), nn.Linear(432, 3)), 0)
    torch.testing.assert_close(own_chain(in_single(net), 16)(pictures()), net(pictures()), rtol=0, atol=1e-5)


def _other_weights() -> nn.Sequential:
    net = own_net()
    net.get_submodule("scores").weight = nn.Parameter(torch.zeros(3, 11))
    return net


@pytest.mark.parametrize(
    ("net", "message"),
    [
        pytest.param(
            nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(17, 3)),
            "3: Linear takes 17, but is given 392 values", id="a linear layer of another size",
        ),
        pytest.param(
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(392, 3)),
            "0: Conv2d takes 1, but is given 3 channels", id="for grey pictures",
        ),
        pytest.param(_other_weights(), "other weights than its layers say: (?s:.*)scores.weight", id="weights put in"),
    ],
)  # fmt: skip
def test_nothing_is_written_of_a_net_that_cannot_run(tmp_path: Path, net: nn.Sequential, message: str) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        save_checkpoint(net, tmp_path / "mine.safetensors", classes=CLASSES, preprocessing=PREPROCESSING)
    assert not list(tmp_path.iterdir())


def test_weights_beyond_half_precision_are_refused_and_kept_whole(tmp_path: Path) -> None:
    net = own_net()
    net.get_parameter("scores.weight").data[0, 0] = 1e5
    path = tmp_path / "mine.safetensors"
    with pytest.raises(BadCheckpoint, match=r"scores\.weight has values that half precision cannot hold.*--full"):
        save_checkpoint(net, path, classes=CLASSES, preprocessing=PREPROCESSING)
    assert not path.exists()
    save_checkpoint(net, path, classes=CLASSES, preprocessing=PREPROCESSING, full=True)
    torch.testing.assert_close(load(path).chain(pictures()), net(pictures()), rtol=1e-5, atol=1e-5)
    net.get_parameter("scores.weight").data[0, 0] = float("nan")
    with pytest.raises(BadCheckpoint, match=r"scores\.weight is not finite"):
        save_checkpoint(net, path, classes=CLASSES, preprocessing=PREPROCESSING, full=True)


class Backwards(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        for layer in reversed(list(self)):
            x = layer(x)
        return x


class Doubled(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Called(nn.Sequential):
    def __call__(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return 2 * x


def test_a_net_that_answers_otherwise_than_its_layers_is_refused(tmp_path: Path) -> None:
    net = Called(*own_net())
    with pytest.raises(UnsupportedLayer, match=r"otherwise than its layers.*: a logit differs by \d.* beside them"):
        save_checkpoint(net, tmp_path / "mine.safetensors", classes=CLASSES, preprocessing=PREPROCESSING)
    assert not list(tmp_path.iterdir())


def test_paths_may_be_texts(tmp_path: Path) -> None:
    path = str(tmp_path / "mine.safetensors")
    assert save_checkpoint(own_net(), path, classes=CLASSES, preprocessing=PREPROCESSING).record == load(path).record


def _hooked() -> nn.Conv2d:
    layer = nn.Conv2d(3, 3, 1)
    layer.register_forward_pre_hook(lambda *_: None)
    return layer


def _net(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(3, 3))


@pytest.mark.parametrize(
    ("net", "message"),
    [
        pytest.param(nn.ModuleList(own_net()), "ModuleList may run its layers in any order", id="no sequence"),
        pytest.param(_net(Backwards(nn.ReLU())), "0: a forward of its own, so that this Backwards", id="own forward"),
        pytest.param(_net(nn.Conv2d(3, 3, 1), nn.Sigmoid()), "Sigmoid", id="another activation"),
        pytest.param(_net(nn.BatchNorm2d(3)), "0: BatchNorm2d cannot stand before Flatten", id="normalises pictures"),
        pytest.param(
            _net(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False), nn.ReLU()),
            "1: BatchNorm2d without running statistics", id="no statistics",
        ),
        pytest.param(
            _net(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(4), nn.ReLU()), "1: BatchNorm2d takes 4, but is given 3", id="width"
        ),
        pytest.param(
            nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(768, 3), nn.BatchNorm1d(2)),
            "4: BatchNorm1d takes 2, but is given 3", id="width after a linear layer",
        ),
        pytest.param(
            _net(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)), "2: BatchNorm2d .* only right after a conv",
            id="after ReLU",
        ),
        pytest.param(
            _net(nn.Conv2d(3, 3, 1), Doubled(3), nn.ReLU()), "1: Doubled cannot stand", id="a subclass of BatchNorm"
        ),
        pytest.param(
            _net(weight_norm(nn.Conv2d(3, 3, 1)), nn.ReLU()), r"0: a parametrization .*remove_parametrizations\(",
            id="computed weights",
        ),
        pytest.param(
            _net(_hooked(), nn.ReLU()), "0: a hook runs beside this Conv2d", id="a hook"
        ),
        pytest.param(
            _net(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.LocalResponseNorm(5, beta=0.5)), "beta 0.75", id="another power"
        ),
    ],
)  # fmt: skip
def test_a_net_that_is_no_chain_is_refused(net: nn.Sequential, message: str) -> None:
    with pytest.raises(UnsupportedLayer, match=message):
        own_chain(in_single(net), 16)


@pytest.mark.parametrize("licence", ["", "two\nlines", "CC\udcff"])
def test_terms_that_are_no_line_are_refused(tmp_path: Path, licence: str) -> None:
    with pytest.raises(ValueError, match="the licence is one line of text that is not blank"):
        save_checkpoint(
            own_net(), tmp_path / "a.safetensors", classes=CLASSES, preprocessing=PREPROCESSING, licence=licence
        )
    assert not list(tmp_path.iterdir())


def test_a_name_that_cannot_be_served_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my net.safetensors"
    with pytest.raises(ValueError, match="'my net' cannot stand in URLs: letters, digits"):
        save_checkpoint(own_net(), path, classes=CLASSES, preprocessing=PREPROCESSING)
    assert not list(tmp_path.iterdir())
    saved = save_checkpoint(own_net(), path, classes=CLASSES, preprocessing=PREPROCESSING, name="my-net")
    assert (load(path).record, saved.record.name) == (saved.record, "my-net")


@pytest.mark.parametrize(
    ("classes", "path", "message"),
    [
        (("cat", "dog"), "mine.safetensors", "the net scores 3 classes, but 2 are named"),
        (("cat", "dog", "cat"), "mine.safetensors", "one synset"),
        (("cat", "dog", " "), "mine.safetensors", "one line of text that is not blank"),
        (CLASSES, "mine.pth", r"written to a \.safetensors file"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, classes: tuple[str, ...], path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        save_checkpoint(own_net(), tmp_path / path, classes=classes, preprocessing=PREPROCESSING)
    assert not list(tmp_path.iterdir())
