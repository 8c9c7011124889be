"""torchvision's AlexNet and VGG as sequences of layers, under the names that its state dicts have for their weights."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..messages import some
from .record import BadCheckpoint, Preprocessing

# What torchvision's weights were trained with: a shorter side of 256 pixels and the 224 in the centre.
PREPROCESSING = Preprocessing(
    224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), crop=224 / 256, interpolation="bilinear"
)
# Maps of the convolutions of each block; a pool follows each block.
VGG = {
    "vgg11": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "vgg13": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "vgg16": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    "vgg19": ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}
NAMES = ("alexnet", *VGG, *(f"{name}_bn" for name in VGG))
CLASSIFIER = "classifier.6.weight"
COUNTER = ".num_batches_tracked"  # of a batch normalisation: older files lack it, and nothing needs it
_unpickled = partial(torch.load, map_location="cpu", weights_only=True)
READERS: dict[str, Callable[[Path], Any]] = {".safetensors": load_file, ".pth": _unpickled, ".pt": _unpickled}


def torchvision_net(name: str, classes: int) -> nn.Sequential:
    """The net of this name among NAMES, with torchvision's names for its layers."""
    if name == "alexnet":
        return _assembled(_alexnet_features(), 6, _alexnet_classifier(classes))
    return _assembled(_vgg_features(name), 7, _vgg_classifier(classes))


def classes_of(net: nn.Sequential) -> int:
    """How many classes such a net scores."""
    return len(net.get_parameter(CLASSIFIER))


def read_net(name: str, path: Path) -> nn.Sequential:
    """A net of NAMES with the weights of a state dict. Raises BadCheckpoint, which says what is wrong with the file."""
    state = read_state(path)
    last = state.get(CLASSIFIER)
    with torch.device("meta"):
        net = torchvision_net(name, len(last) if last is not None and last.ndim else 1000)
    expected = {key: tuple(value.shape) for key, value in net.state_dict().items() if not key.endswith(COUNTER)}
    given = {key: tuple(value.shape) for key, value in state.items() if not key.endswith(COUNTER)}
    if said := _differences(expected, given):
        raise BadCheckpoint(f"{path} is no state dict of torchvision's {name}: {said}")
    net.load_state_dict({key: state[key].float() for key in expected}, strict=False, assign=True)
    return net.eval()


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of a state dict in a .pth or .pt file. Raises BadCheckpoint."""
    if path.suffix not in READERS:
        raise BadCheckpoint(f"{path}: weights are read from {', '.join(READERS)}")
    try:
        found = READERS[path.suffix](path)
    except OSError as error:
        raise BadCheckpoint(f"cannot read the weights {path}: {error.strerror or error}") from error
    except UnpicklingError as error:
        raise BadCheckpoint(
            f"{path} holds more than tensors, which is code and not read, or is damaged: save `net.state_dict()`"
        ) from error
    except Exception as error:  # whatever is raised on damaged bytes, the bytes are the cause
        raise BadCheckpoint(f"{path} is no {path.suffix} file of weights: {error}") from error
    return _tensors(found, path)


def _tensors(found: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(found, Mapping) or not all(_is_entry(*item) for item in found.items()):
        holds = f"a dict of {some(list(map(str, found)))}" if isinstance(found, Mapping) else "something else"
        raise BadCheckpoint(f"{path} holds {holds}, not a state dict alone: save `net.state_dict()`")
    return dict(found)


def _is_entry(key: object, value: object) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)


def _differences(expected: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]]) -> str:
    """What is missing, unexpected or of another shape; empty where nothing is."""
    other = [
        f"{key} ({_shape(given[key])}, not {_shape(shape)})"
        for key, shape in expected.items()
        if key in given and given[key] != shape
    ]
    found = {
        "missing": [key for key in expected if key not in given],
        "unexpected": [key for key in given if key not in expected],
        "of another shape": other,
    }
    return "; ".join(f"{what}: {some(keys)}" for what, keys in found.items() if keys)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a number"


def _assembled(features: nn.Sequential, cells: int, classifier: nn.Sequential) -> nn.Sequential:
    pool = nn.AdaptiveAvgPool2d(cells)
    return nn.Sequential(OrderedDict(features=features, avgpool=pool, flatten=nn.Flatten(), classifier=classifier))


def _alexnet_features() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2),
    )  # fmt: skip


def _alexnet_classifier(classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(),
        nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(),
        nn.Linear(4096, classes),
    )  # fmt: skip


def _vgg_features(name: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    maps = 3
    for block in VGG[name.removesuffix("_bn")]:
        for wider in block:
            norm = [nn.BatchNorm2d(wider)] if name.endswith("_bn") else []
            layers += [nn.Conv2d(maps, wider, 3, padding=1), *norm, nn.ReLU()]
            maps = wider
        layers.append(nn.MaxPool2d(2, stride=2))
    return nn.Sequential(*layers)


def _vgg_classifier(classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(),
        nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(),
        nn.Linear(4096, classes),
    )  # fmt: skip
