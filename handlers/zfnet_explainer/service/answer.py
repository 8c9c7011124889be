"""An answer, and how one is made of JSON, tensors or what went wrong."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from ..errors import InternalError, RequestError, told_in
from ..wire.accept import MEDIA_TYPES
from ..wire.response import json_bytes
from .observation import Observation

log = logging.getLogger(__name__)

JSON, BINARY = MEDIA_TYPES["json"], "application/octet-stream"
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, content type, body and further headers."""

    status: HTTPStatus
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def in_json(fields: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(status, JSON, json_bytes(fields))


def in_tensors(body: bytes, headers: Mapping[str, str]) -> Answer:
    """Of the Open Inference Protocol, whose headers say where the JSON ends if tensors in binary follow."""
    return Answer(HTTPStatus.OK, BINARY if headers else JSON, body, headers)


def attempt(observation: Observation, step: Callable[[], T]) -> T | Answer:
    """The step's result, or the answer that says why there is none."""
    try:
        with told_in(observation.protocol):
            return step()
    except RequestError as error:
        refused = refusal(observation, error)
    return in_json(refused.answer(observation.request_id), HTTPStatus(refused.status))


def refusal(observation: Observation, error: RequestError) -> RequestError:
    """The error, counted and detached; the cause of one that is our fault is logged under the request's id."""
    if isinstance(error, InternalError):
        log.error("request %s failed", observation.request_id, exc_info=error.__cause__)
    observation.errors.append(error.code)
    return error.detached()
