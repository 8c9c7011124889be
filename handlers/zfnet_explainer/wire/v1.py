"""KServe's V1 protocol: a list of instances, each a picture."""

from collections.abc import Mapping
from typing import Any

from ..errors import MalformedBody, RequestError
from ..pictures.view import Picture, View
from ..pictures.work import Work
from .document import counted, refuse_unknown
from .encoded import decode_picture, from_base64

# Where an instance has its base64: KServe's and TorchServe's `data`, TensorFlow Serving's `b64` and `image_bytes`.
NAMES = {"data", "b64", "image_bytes"}
INSTANCE = 'an instance is {"data": {"b64": "<base64 of an encoded picture>"}}'


def v1_pictures(document: Mapping[str, Any], view: View | int) -> tuple[Picture | RequestError, ...]:
    """V1's pictures, an error in the place of one that cannot be read."""
    pictures: list[Picture | RequestError] = []
    work = Work()
    for instance in counted(document.get("instances"), "instances"):
        try:
            pictures.append(decode_picture(from_base64(_text(instance)), view, work))
        except RequestError as error:
            pictures.append(error.detached())
    return tuple(pictures)


def _text(instance: Any) -> Any:
    if not isinstance(instance, Mapping):
        raise MalformedBody(INSTANCE)
    refuse_unknown(instance, NAMES, "an instance")
    if len(instance) != 1:
        raise MalformedBody(INSTANCE)
    [(name, value)] = instance.items()
    if name == "b64" or (name == "data" and isinstance(value, str)):
        return value
    if not isinstance(value, Mapping) or "b64" not in value:
        raise MalformedBody(INSTANCE)
    refuse_unknown(value, {"b64"}, f"`{name}` of an instance")
    return value["b64"]
