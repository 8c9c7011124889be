"""Open Inference Protocol (KServe V2) answers: results as named tensors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MalformedBody, TooMuchWork, printable
from ..explanation import Explanation, FloatArray, Options
from ..pictures.decode import Picture
from .request import Request
from .response import Served, arrays

DATATYPES = {"float32": "FP32", "int64": "INT64"}
# The least that a number of a projection and a pixel take.
PROJECTED, PIXEL = len("0.0,"), len("0,")


def bound_tensors(request: Request, options: Options, size: int, limit: int) -> None:
    """Raise TooMuchWork where projections and pixels, all of them black, would be an answer over the limit in bytes."""
    pictures = len(request.sound)
    projected = len(options.layers) * len(options.feature or range(options.features))
    projections = _asked(request, ".projection", pictures * projected if "deconv" in options.methods else 0)
    pixels = _asked(request, "image.pixels", pictures)
    if (projections * PROJECTED + pixels * PIXEL) * 3 * size**2 > limit:
        raise TooMuchWork(
            f"{projections} projections and {pixels} pictures of {size} x {size} x 3 numbers are an answer over this "
            f"server's {limit:,} bytes: ask for fewer `features`, `layer`s or pictures, or name the `outputs` you need",
            "features",
        )


def _asked(request: Request, ending: str, there: int) -> int:
    """Of so many tensors whose names end so, those that are answered."""
    return min(there, sum(name.endswith(ending) for name in request.outputs)) if request.outputs else there


def v2_predictions(served: Served, request: Request, rows: list[FloatArray]) -> dict[str, Any]:
    """`probabilities` FP32 [n, classes] and `classes` BYTES [classes], the labels in the same order."""
    return _answer(served, request, [_tensor("probabilities", np.stack(rows)), _classes(served)])


def v2_explanations(served: Served, request: Request, found: list[tuple[Picture, Explanation]]) -> dict[str, Any]:
    """As `v2_predictions`, and every array of the npz answer; `<image>.` precedes its name where n > 1."""
    tensors = [_tensor("probabilities", np.stack([one.probabilities for _, one in found])), _classes(served)]
    for number, (picture, one) in enumerate(found):
        prefix = f"{number}." if len(found) > 1 else ""
        named = arrays(picture, one).items()
        tensors += [_tensor(prefix + name, values) for name, values in named if name != "probabilities"]
    return _answer(served, request, tensors)


def _answer(served: Served, request: Request, tensors: list[dict[str, Any]]) -> dict[str, Any]:
    names = {tensor["name"]: None for tensor in tensors}
    unknown = [name for name in request.outputs if name not in names]
    if unknown:
        raise MalformedBody(f"there is no output `{printable(unknown[0])}`; there are {', '.join(names)[:400]}")
    return {
        "model_name": served.name,
        "model_version": served.version,
        **({} if request.id is None else {"id": request.id}),
        "outputs": [t for t in tensors if not request.outputs or t["name"] in request.outputs],
    }


def _tensor(name: str, values: NDArray[Any]) -> dict[str, Any]:
    """Data flat, in row-major order; a single number has shape [1]."""
    shape = list(values.shape) or [1]
    return {"name": name, "shape": shape, "datatype": DATATYPES[values.dtype.name], "data": values.reshape(-1)}


def _classes(served: Served) -> dict[str, Any]:
    labels = [c.label for c in served.record.classes]
    return {"name": "classes", "shape": [len(labels)], "datatype": "BYTES", "data": labels}
