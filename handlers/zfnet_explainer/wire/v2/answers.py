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
from ..response import Served
from .binary import LENGTH_HEADER, joined, packed
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
    return _answer(served, request, [NamedTensor("probabilities", np.stack(rows)), _classes(served)])


@dataclass(frozen=True)
class Explained:
    """The tensors of one picture that are wanted, and the names of all that there are."""

    probabilities: FloatArray
    tensors: list[NamedTensor]
    names: list[str]


def explained(request: Request, number: int, picture: Picture, explanation: Explanation) -> Explained:
    """The arrays of the npz answer; `<number>.` precedes their names where the request has several pictures."""
    prefix = f"{number}." if len(request.sound) > 1 else ""
    named = {prefix + name: values for name, values in arrays(picture, explanation).items() if name != "probabilities"}
    kept = [NamedTensor(name, values) for name, values in named.items() if request.wanted.has(name)]
    return Explained(explanation.probabilities, kept, list(named))


def explanations(served: Served, request: Request, found: Sequence[Explained]) -> tuple[bytes, dict[str, str]]:
    """As `predictions`, and the tensors of every picture."""
    shared = [NamedTensor("probabilities", np.stack([one.probabilities for one in found])), _classes(served)]
    refuse_absent(request.wanted.tensors, {*SHARED, *(name for one in found for name in one.names)})
    return _answer(served, request, [*shared, *(tensor for one in found for tensor in one.tensors)])


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
    answer = {
        "model_name": served.name,
        "model_version": served.version,
        **({} if wanted.id is None else {"id": wanted.id}),
        "outputs": outputs,
    }
    body, length = joined(answer, binary)
    return body, {LENGTH_HEADER: str(length)} if binary else {}


def _classes(served: Served) -> NamedTensor:
    return NamedTensor("classes", [c.label for c in served.record.classes])
