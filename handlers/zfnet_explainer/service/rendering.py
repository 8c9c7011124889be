"""Explanations as they are asked for: `RENDERERS` has what answers in which protocol and format."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from ..errors import RequestError, of_picture, told_in
from ..explanation import Explanation
from ..options import Options
from ..pictures.view import Picture
from ..wire import response
from ..wire.accept import MEDIA_TYPES
from ..wire.arrays import npz
from ..wire.report import report
from ..wire.request import Request
from ..wire.rules import Rules
from ..wire.sizes import SMALLER_TENSORS, bound_json, bound_npz, bound_tensors
from ..wire.v2 import answers as v2
from ..wire.v2.outputs import check_outputs
from .answer import Answer, in_json, in_tensors, refusal
from .observation import Observation

HTML = f"{MEDIA_TYPES['html']}; charset=utf-8"


@dataclass(frozen=True)
class Job:
    """A request for explanations whose options were checked; `explain` does the work and has it counted."""

    served: response.Served
    request: Request
    observation: Observation
    options: Options
    images: bool
    explain: Callable[[Picture], Explanation]

    def entry(self, picture: Picture) -> dict[str, Any]:
        """What JSON says of a picture."""
        found = self.explain(picture)
        with self.observation.timed("encode"):
            fields = response.explained(self.served, picture, found, self.images)
        seconds = {"decode": self.request.seconds, **found.seconds, "encode": self.observation.seconds[-1][1]}
        return response.stamped(self.served, self.observation.request_id, seconds, fields)


@dataclass(frozen=True)
class Renderer:
    """How a job is answered.

    `check` raises RequestError before any work for what could not be answered in this way within `limit` bytes;
    `too_large` is what to ask for, of one picture, where an answer is nevertheless too large.
    """

    render: Callable[[Job], Answer]
    check: Callable[[Request, Options, Rules, int], None]
    too_large: str


def instances(
    request: Request, observation: Observation, key: str, entry: Callable[[Picture], dict[str, Any]]
) -> Answer:
    """V1's list of entries, in which an instance that fails has its error.

    Where all of them fail the highest status is the answer's, so that it is not taken for a success, and one failure
    of ours among them is seen.
    """
    errors: list[RequestError] = []

    def attempted(picture: Picture | RequestError) -> dict[str, Any]:
        try:
            with told_in("v1"):
                if isinstance(picture, RequestError):
                    raise picture
                return entry(picture)
        except RequestError as error:
            errors.append(refusal(observation, error))
            return {"error": errors[-1].payload(observation.request_id)}

    entries = [attempted(picture) for picture in request.pictures]
    status = HTTPStatus.OK if len(errors) < len(entries) else HTTPStatus(max(error.status for error in errors))
    return in_json({key: entries}, status)


def _plain(job: Job) -> Answer:
    [picture] = job.request.sound
    return in_json(job.entry(picture))


def _v1(job: Job) -> Answer:
    return instances(job.request, job.observation, "explanations", job.entry)


def _v2(job: Job) -> Answer:
    pictures, found = job.request.sound, []
    for number, picture in enumerate(pictures):
        with of_picture(number, len(pictures)):
            one = job.explain(picture)
        with job.observation.timed("encode"):  # of all that was found this alone is held until the last is
            found.append(v2.explained(job.request, number, picture, one))
    with job.observation.timed("encode"):
        return in_tensors(*v2.explanations(job.served, job.request, found))


def _file(content_type: str, encode: Callable[[Job, Picture, Explanation], bytes], job: Job) -> Answer:
    [picture] = job.request.sound
    found = job.explain(picture)
    with job.observation.timed("encode"):
        return Answer(HTTPStatus.OK, content_type, encode(job, picture, found))


def _npz(_: Job, picture: Picture, explanation: Explanation) -> bytes:
    return npz(picture, explanation)


def _png(job: Job, _: Picture, explanation: Explanation) -> bytes:
    # By matplotlib, which a worker that never draws need not import.
    from ..pictures.drawing.figure import figure_png

    return figure_png(explanation, job.served.record)


def _html(job: Job, picture: Picture, explanation: Explanation) -> bytes:
    fields = response.described(job.served, picture, explanation, images=False)
    seconds = {"decode": job.request.seconds, **explanation.seconds}
    answer = response.stamped(job.served, job.observation.request_id, seconds, fields)
    return report(answer, job.options, _png(job, picture, explanation), job.served.record.classes)


def _check_tensors(request: Request, options: Options, rules: Rules, limit: int) -> None:
    check_outputs(request.wanted.tensors, options, len(request.sound), rules)
    bound_tensors(request, options, rules, limit)


def _unbounded(*_: object) -> None:
    """A drawing does not grow with the work."""


MAPS = "fewer `features`, `layer`s or `others`"
IN_JSON = f"{MAPS}, a smaller `top_k`, or `images`=false"

RENDERERS: Mapping[tuple[str, str], Renderer] = {
    ("plain", "json"): Renderer(_plain, bound_json, IN_JSON),
    ("plain", "npz"): Renderer(partial(_file, MEDIA_TYPES["npz"], _npz), bound_npz, "fewer `features` or `layer`s"),
    ("plain", "png"): Renderer(partial(_file, MEDIA_TYPES["png"], _png), _unbounded, MAPS),
    ("plain", "html"): Renderer(partial(_file, HTML, _html), _unbounded, MAPS),
    ("v1", "json"): Renderer(_v1, bound_json, IN_JSON),
    ("v2", "json"): Renderer(_v2, _check_tensors, SMALLER_TENSORS),
}
