"""What an Open Inference Protocol request says beside its pictures: its options, its id and the outputs it wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import MalformedBody
from ..document import given_twice, parameters_of, refuse_unknown

# What clients say to each other's servers: codecs and headers, a sequence's place, how urgent a request is.
PASSED_OVER = {"content_type", "headers"}
PASSED_OVER_IN_REQUESTS = PASSED_OVER | {"sequence_id", "sequence_start", "sequence_end", "priority", "timeout"}
BINARY, ALL_BINARY = "binary_data", "binary_data_output"
OUTPUTS = '`outputs` is a list of {"name": "..."}'


@dataclass(frozen=True)
class Wanted:
    """What the answer repeats and holds: the request's id, and of which tensors (none named: all) the bytes.

    `tensors` says of each name whether it is wanted in binary, `binary` of those that are not named.
    """

    id: str | None = None
    tensors: Mapping[str, bool] = field(default_factory=dict)
    binary: bool = False

    def has(self, name: str) -> bool:
        return not self.tensors or name in self.tensors

    def in_binary(self, name: str) -> bool:
        return self.tensors.get(name, self.binary)


def split_parameters(given: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The options among a request's parameters, and whether its answer's tensors are wanted in binary."""
    options = {name: value for name, value in given.items() if name not in PASSED_OVER_IN_REQUESTS}
    asked = [_boolean(name, options.pop(name)) for name in (BINARY, ALL_BINARY) if name in options]
    return options, any(asked)


def wanted(document: Mapping[str, Any], binary: bool) -> Wanted:
    """The id and the tensors that a document asks for, in binary where it does not say otherwise of one."""
    name = document.get("id")
    if name is not None and not (isinstance(name, str) and name.isprintable()):
        raise MalformedBody("`id` is a string of printable characters")
    outputs = document.get("outputs")
    if outputs is not None and not isinstance(outputs, list):
        raise MalformedBody(OUTPUTS)
    tensors: dict[str, bool] = {}
    for tensor, in_binary in (_output(output, binary) for output in outputs or ()):
        if tensor in tensors:
            raise given_twice(tensor)
        tensors[tensor] = in_binary
    return Wanted(name, tensors, binary)


def _output(output: Any, binary: bool) -> tuple[str, bool]:
    if not isinstance(output, Mapping) or "name" not in output:
        raise MalformedBody(OUTPUTS)
    if not isinstance(output["name"], str):
        raise MalformedBody("a `name` in `outputs` is a string")
    refuse_unknown(output, {"name", "parameters", "shape", "datatype"}, "an output")
    given = parameters_of(output, "`parameters` of an output is an object")
    refuse_unknown(given, PASSED_OVER | {BINARY}, "the `parameters` of an output")
    return output["name"], _boolean(BINARY, given.get(BINARY, binary))


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise MalformedBody(f"`{name}` is true or false")
    return value
