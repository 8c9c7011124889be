"""Open Inference Protocol (KServe V2) answers: results as named tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...explanation import Explanation, FloatArray
from ...pictures.view import Picture
from ..arrays import arrays
from ..request import Request
from ..response import Served, json_bytes
from .binary import LENGTH_HEADER, packed
from .outputs import SHARED, refuse_absent, unknown_output

DATATYPES = {"float32": "FP32", "int64": "INT64"}


@dataclass(frozen=True)
class NamedTensor:
    """A named tensor: numbers, float32 or int64, or texts."""

    name: str
    values: NDArray[Any] | Sequence[str]

    def head(self) -> dict[str, Any]:
        """Name, shape and datatype; a single number has shape [1]."""
        if not isinstance(self.values, np.ndarray):
            return {"name": self.name, "shape": [len(self.values)], "datatype": "BYTES"}
        shape = list(self.values.shape) or [1]
        return {"name": self.name, "shape": shape, "datatype": DATATYPES[self.values.dtype.name]}

    def data(self) -> Any:
        """The values, flat in row-major order."""
        return self.values.reshape(-1) if isinstance(self.values, np.ndarray) else self.values


def predictions(served: Served, request: Request, rows: list[FloatArray]) -> tuple[bytes, dict[str, str]]:
    """`probabilities` FP32 [n, classes] and `classes` BYTES [classes], the labels in the same order.

    Body and headers of the answer: with tensors in binary a header says where the JSON ends. Raises MalformedBody for
    an output that there is not.
    """
    unknown = next((name for name in request.wanted.tensors if name not in SHARED), None)
    if unknown is not None:
        raise unknown_output(unknown, SHARED)
    return _answer(served, request, _shared(served, rows))


@dataclass(frozen=True)
class Explained:
    """Of one picture, its probabilities and those of its other tensors that are wanted."""

    probabilities: FloatArray
    tensors: list[NamedTensor]


def explained(request: Request, number: int, picture: Picture, explanation: Explanation) -> Explained:
    """The arrays of the npz answer; `<number>.` precedes their names where the request has several pictures."""
    prefix = f"{number}." if len(request.sound) > 1 else ""
    found = arrays(picture, explanation)
    probabilities = found.pop("probabilities")
    kept = [NamedTensor(prefix + name, found[name]) for name in found if request.wanted.has(prefix + name)]
    return Explained(probabilities, kept)


def explanations(served: Served, request: Request, found: Sequence[Explained]) -> tuple[bytes, dict[str, str]]:
    """As `predictions`, and the tensors of every picture."""
    tensors = _shared(served, [one.probabilities for one in found])
    tensors += (tensor for one in found for tensor in one.tensors)
    refuse_absent(request.wanted.tensors, {tensor.name for tensor in tensors})
    return _answer(served, request, tensors)


def _answer(served: Served, request: Request, tensors: list[NamedTensor]) -> tuple[bytes, dict[str, str]]:
    wanted = request.wanted
    outputs, binary = [], []
    for tensor in tensors:
        if wanted.has(tensor.name):
            if wanted.in_binary(tensor.name):
                binary.append(packed(tensor.values))
                outputs.append(tensor.head() | {"parameters": {"binary_data_size": len(binary[-1])}})
            else:
                outputs.append(tensor.head() | {"data": tensor.data()})
    head = {
        "model_name": served.name,
        "model_version": served.version,
        **({} if wanted.id is None else {"id": wanted.id}),
        "outputs": outputs,
    }
    text = json_bytes(head)
    return b"".join((text, *binary)), {LENGTH_HEADER: str(len(text))} if binary else {}


def _shared(served: Served, rows: Sequence[FloatArray]) -> list[NamedTensor]:
    """The tensors of all pictures: `SHARED`."""
    labels = [c.label for c in served.record.classes]
    return [NamedTensor("probabilities", np.stack(rows)), NamedTensor("classes", labels)]
