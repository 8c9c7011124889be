"""ZFNet with its explanations: predictions, deconvnet projections, occlusion maps.

The names below are the library's face; what they need (torch, for most) is imported when they are first used, so that
who only reads pictures or starts a server does not wait for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .explainer import Explainer
    from .explanation import Explanation, Options
    from .methods.deconvnet import project
    from .methods.incremental.occluder import Occluder
    from .net.chain import Chain, as_chain
    from .net.checkpoint import load
    from .pictures.decode import decode

__all__ = ["Chain", "Explainer", "Explanation", "Occluder", "Options", "as_chain", "decode", "load", "project"]
_MODULES = {
    "Chain": "net.chain",
    "Explainer": "explainer",
    "Explanation": "explanation",
    "Occluder": "methods.incremental.occluder",
    "Options": "explanation",
    "as_chain": "net.chain",
    "decode": "pictures.decode",
    "load": "net.checkpoint",
    "project": "methods.deconvnet",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
