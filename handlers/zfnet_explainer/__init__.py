"""ZFNet with its explanations: predictions, deconvnet projections, occlusion maps.

The names below are the library's face; what they need (torch, for most) is imported when they are first used, so that
who only reads pictures or starts a server does not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import TooLarge, UndecodableImage, UnsupportedImage, UnusableOption
    from .explainer import Explainer
    from .explanation import Explanation
    from .methods.deconvnet import project
    from .methods.incremental.occluder import Occluder
    from .net.chain import Chain, as_chain
    from .net.checkpoint import load
    from .net.layers import UnsupportedLayer
    from .net.own import save_checkpoint
    from .net.record import BadCheckpoint, ClassName, Preprocessing
    from .options import Options
    from .pictures.atlas import BadAtlas, load_atlas
    from .pictures.decode import decode

__all__ = [
    "BadAtlas", "BadCheckpoint", "Chain", "ClassName", "Explainer", "Explanation", "Occluder", "Options",
    "Preprocessing", "TooLarge", "UndecodableImage", "UnsupportedImage", "UnsupportedLayer", "UnusableOption",
    "as_chain", "decode", "load", "load_atlas", "project", "save_checkpoint",
]  # fmt: skip
_MODULES = {
    "BadAtlas": "pictures.atlas",
    "BadCheckpoint": "net.record",
    "Chain": "net.chain",
    "ClassName": "net.record",
    "Explainer": "explainer",
    "Explanation": "explanation",
    "Occluder": "methods.incremental.occluder",
    "Options": "options",
    "Preprocessing": "net.record",
    "TooLarge": "errors",
    "UndecodableImage": "errors",
    "UnsupportedImage": "errors",
    "UnsupportedLayer": "net.layers",
    "UnusableOption": "errors",
    "as_chain": "net.chain",
    "decode": "pictures.decode",
    "load": "net.checkpoint",
    "load_atlas": "pictures.atlas",
    "project": "methods.deconvnet",
    "save_checkpoint": "net.own",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
