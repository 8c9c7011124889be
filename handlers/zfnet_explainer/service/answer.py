"""An answer, and how one is made of JSON, tensors or what went wrong."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

import torch

from ..errors import InternalError, RequestError
from ..wire.accept import MEDIA_TYPES
from ..wire.response import json_bytes
from .observation import Observation

log = logging.getLogger(__name__)

JSON, BINARY = MEDIA_TYPES["json"], "application/octet-stream"
T = TypeVar("T")
OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation


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


def attempt(request_id: str, observation: Observation, step: Callable[[], T]) -> T | Answer:
    """The step's result, or the answer that says why there is none."""
    try:
        return step()
    except Exception as error:
        refused = refusal(request_id, observation, error)
    refused.in_v2 |= observation.protocol == "v2"
    return in_json(refused.answer(request_id), HTTPStatus(refused.status))


def refusal(request_id: str, observation: Observation, error: Exception) -> RequestError:
    """What a client is told of an exception; one that is no refusal is logged under the request's id."""
    refused = error.detached() if isinstance(error, RequestError) else _internal(request_id, observation, error)
    observation.errors.append(refused.code)
    return refused


def _internal(request_id: str, observation: Observation, error: Exception) -> InternalError:
    log.error("request %s failed", request_id, exc_info=error)
    # No memory left passes, whether torch's allocator says so, by another exception, or CUDA itself.
    failed = isinstance(error, torch.AcceleratorError)
    observation.device_lost |= failed and getattr(error, "error_code", None) != OUT_OF_MEMORY
    return InternalError("the server failed on this request; its log has the cause under this request id")
