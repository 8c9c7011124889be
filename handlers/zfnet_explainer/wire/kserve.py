"""Open Inference Protocol (KServe V2) answers: results as named tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..explanation import Explanation, FloatArray
from ..pictures.view import Picture
from .arrays import arrays
from .binary import LENGTH_HEADER, joined, packed
from .outputs import SHARED, refuse_absent, unknown_output
from .request import Request
from .response import Served

DATATYPES = {"float32": "FP32", "int64": "INT64"}


@dataclass(frozen=True)
class Tensor:
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


def v2_predictions(served: Served, request: Request, rows: list[FloatArray]) -> tuple[bytes, dict[str, str]]:
    """`probabilities` FP32 [n, classes] and `classes` BYTES [classes], the labels in the same order.

    Body and headers of the answer: with tensors in binary a header says where the JSON ends. Raises MalformedBody for
    an output that there is not.
    """
    unknown = next((name for name in request.wanted.tensors if name not in SHARED), None)
    if unknown is not None:
        raise unknown_output(unknown, SHARED)
    return _answer(served, request, [Tensor("probabilities", np.stack(rows)), _classes(served)])


@dataclass(frozen=True)
class Explained:
    """The tensors of one picture that are wanted, and the names of all that there are."""

    probabilities: FloatArray
    tensors: list[Tensor]
    names: list[str]


def explained(request: Request, number: int, picture: Picture, found: Explanation) -> Explained:
    """The arrays of the npz answer; `<number>.` precedes their names where the request has several pictures."""
    prefix = f"{number}." if len(request.sound) > 1 else ""
    named = {prefix + name: values for name, values in arrays(picture, found).items() if name != "probabilities"}
    kept = [Tensor(name, values) for name, values in named.items() if request.wanted.has(name)]
    return Explained(found.probabilities, kept, list(named))


def v2_explanations(served: Served, request: Request, found: Sequence[Explained]) -> tuple[bytes, dict[str, str]]:
    """As `v2_predictions`, and the tensors of every picture."""
    shared = [Tensor("probabilities", np.stack([one.probabilities for one in found])), _classes(served)]
    refuse_absent(request.wanted.tensors, {*SHARED, *(name for one in found for name in one.names)})
    return _answer(served, request, [*shared, *(tensor for one in found for tensor in one.tensors)])


def _answer(served: Served, request: Request, tensors: list[Tensor]) -> tuple[bytes, dict[str, str]]:
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


def _classes(served: Served) -> Tensor:
    return Tensor("classes", [c.label for c in served.record.classes])
