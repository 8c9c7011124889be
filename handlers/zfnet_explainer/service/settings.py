"""A worker's settings: the section `explainer` of an archive's model-config.yaml, checked before anything is loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from ..cores import usable_cores
from ..wire.origin import is_origin

AUTO = "auto"
POSITIVE = "a whole number from 1 on"


class BadSettings(RuntimeError):
    """A setting that no worker can be started with; the message names it and says what it may be."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one request's work and of its answer's size."""

    max_squares: int = 4096
    max_squares_crosscheck: int = 1024
    max_response_bytes: int = 6_500_000  # below TorchServe's own default, over which it kills the worker


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker is told; `threads` are torch's, `occlusion_memory` bytes, None the device's default."""

    limits: Limits
    device: str
    threads: int
    occlusion_memory: int | None
    allowed_origin: str

    @classmethod
    def parse(cls, config: Mapping[str, Any]) -> Self:
        """Those of a model-config.yaml. Raises BadSettings for a key that is unknown or a value that it cannot have."""
        given = config.get("explainer") or {}
        if not isinstance(given, Mapping):
            raise BadSettings(f"explainer in model-config.yaml is a section of settings, not {given!r}")
        if unknown := [name for name in given if name not in SETTINGS]:
            raise BadSettings(
                f"explainer.{unknown[0]} in model-config.yaml is unknown: there are {', '.join(SETTINGS)}"
            )
        values = {name: setting.checked(f"explainer.{name}", given) for name, setting in SETTINGS.items()}
        workers = Setting(1, _positive, POSITIVE).checked("minWorkers", config)
        memory = values["occlusion_memory_mib"]
        return cls(
            limits=Limits(*(values[name] for name in Limits.__dataclass_fields__)),
            device=values["device"],
            threads=max(1, usable_cores() // workers) if values["threads"] == AUTO else values["threads"],
            occlusion_memory=None if memory == AUTO else memory << 20,
            allowed_origin=values["allowed_origin"] or "",
        )


class Setting(NamedTuple):
    """A setting's default, whether it may have a value, and what it may have, in words."""

    default: Any
    may_be: Callable[[Any], bool]
    words: str

    def checked(self, path: str, given: Mapping[str, Any]) -> Any:
        value = given.get(path.rpartition(".")[2], self.default)
        if not self.may_be(value):
            raise BadSettings(f"{path} in model-config.yaml is {self.words}, not {value!r}")
        return value


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _positive_or_auto(value: Any) -> bool:
    return value == AUTO or _positive(value)


SETTINGS = {
    "max_squares": Setting(Limits.max_squares, _positive, POSITIVE),
    "max_squares_crosscheck": Setting(Limits.max_squares_crosscheck, _positive, POSITIVE),
    "max_response_bytes": Setting(Limits.max_response_bytes, _positive, POSITIVE),
    "allowed_origin": Setting(
        "",
        lambda value: value in (None, "", "*") or (isinstance(value, str) and is_origin(value)),
        "a web origin as browsers send it, such as https://a.example (in lower case, no slash behind it, no port that "
        "is the scheme's own), `*` or empty",
    ),
    "occlusion_memory_mib": Setting(AUTO, _positive_or_auto, f"auto or {POSITIVE}"),
    "device": Setting(AUTO, lambda value: value in (AUTO, "cpu", "cuda"), "auto, cpu or cuda"),
    "threads": Setting(AUTO, _positive_or_auto, f"auto or {POSITIVE}"),
}
