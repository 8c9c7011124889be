"""Requests in, answers out: the same for every server and for the command line."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import torch

from ..errors import InternalError, InvalidOption, RequestError, TooMuchWork, UnusableOption
from ..explainer import Explainer, ranked, supported_precisions
from ..explanation import Explanation, FloatArray, Options
from ..pictures.decode import Picture
from ..wire import kserve, response
from ..wire.options import Presentation, Rules, bound_together, explain_options, predict_options
from ..wire.page.page import page
from ..wire.report import report
from ..wire.request import Incoming, Request, read
from .observation import Observation, Observer, unobserved
from .settings import Limits
from .threads import Priority, here

log = logging.getLogger(__name__)

JSON, PNG, NPZ, HTML = "application/json", "image/png", "application/x-npz", "text/html; charset=utf-8"
BINARY = "application/octet-stream"
T = TypeVar("T")
OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, content type, body and further headers."""

    status: HTTPStatus
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """Probabilities of a batch's pictures, by the picture's identity, and the seconds they took."""

    rows: Mapping[int, FloatArray]
    seconds: float


class Runner(Protocol):
    """Does a piece of work, here or elsewhere, and returns what it returns."""

    def __call__(self, work: Callable[[], T], priority: Priority, /) -> T: ...


class Service:
    """Answers predict and explain requests with one explainer; no request can fail another.

    `allowed_origin` is the one other web origin whose pages may ask, `*` all of them; `run`
    does what takes long.
    """

    def __init__(
        self,
        explainer: Explainer,
        name: str,
        version: str,
        limits: Limits,
        observer: Observer = unobserved,
        allowed_origin: str = "",
        run: Runner = here,
    ) -> None:
        record = explainer.record
        self.explainer, self.limits, self.observer = explainer, limits, observer
        self.allowed_origin, self.run = allowed_origin, run
        self.served = response.Served(name, version, device_name(explainer.device), record)
        self.rules = Rules(
            record.classes,
            explainer.chain.map_counts,
            record.preprocessing.size,
            supported_precisions(explainer.device),
            limits.max_squares,
            limits.max_squares_crosscheck,
        )

    def answer(self, incoming: Sequence[Incoming], ids: Sequence[str]) -> list[Answer]:
        """Answer a batch in order, one answer a request; its predictions share one pass through the net."""
        start = time.perf_counter()
        seen = [Observation("explain" if one.explain else "predict") for one in incoming]
        requests = [_attempt(i, s, partial(self._read, one, s)) for one, i, s in zip(incoming, ids, seen, strict=True)]
        scores = self._score_together([r for r in requests if isinstance(r, Request) and not r.explain])
        answers = [
            r if isinstance(r, Answer) else _attempt(i, s, partial(self._respond, r, i, scores, s))
            for r, i, s in zip(requests, ids, seen, strict=True)
        ]
        for answer, i in zip(answers, ids, strict=True):
            log.info("request %s: %d, %d bytes", i, answer.status, len(answer.body))
        self._report(seen, answers, time.perf_counter() - start)
        return answers

    def _report(self, seen: list[Observation], answers: list[Answer], seconds: float) -> None:
        """Tell the observer; its failure costs no answer."""
        for one, answer in zip(seen, answers, strict=True):
            one.status = answer.status.value
        try:
            self.observer(seen, seconds)
        except Exception:
            log.exception("%d requests were answered but not counted", len(seen))

    def _read(self, incoming: Incoming, seen: Observation) -> Request | Answer:
        incoming.check_origin(self.allowed_origin)
        if incoming.wants_page:
            seen.protocol = "page"
            return Answer(HTTPStatus.OK, HTML, page(self.served.name, self.rules))
        request = read(incoming, self.rules.size)
        seen.protocol = request.protocol
        seen.spent({"decode": request.seconds})
        return request

    def _score_together(self, requests: list[Request]) -> Scores:
        """One pass through the net for a batch; nothing where it fails, so that each row tries alone."""
        try:
            return self._score(requests)
        except Exception:
            log.exception("a pass over %d predict requests failed; each is tried by itself", len(requests))
            return Scores({}, 0.0)

    def _score(self, requests: list[Request]) -> Scores:
        start = time.perf_counter()
        pictures = [p for r in requests for p in r.sound]
        rows: Sequence[FloatArray] = ()
        if pictures:
            work = partial(self.explainer.probabilities, [p.pixels for p in pictures])
            rows = list(self.run(work, Priority.URGENT))
        return Scores({id(p): row for p, row in zip(pictures, rows, strict=True)}, time.perf_counter() - start)

    def _respond(self, request: Request, request_id: str, scores: Scores, seen: Observation) -> Answer:
        if request.explain:
            answer = self.run(partial(self._explain, request, request_id, seen), Priority.LOW)
        else:
            answer = self._predict(request, request_id, scores, seen)
        if len(answer.body) > self.limits.max_response_bytes:
            raise TooMuchWork(
                f"the answer has {len(answer.body):,} bytes, more than this server's "
                f"{self.limits.max_response_bytes:,}: ask for fewer {_what_fills(request, answer)}"
            )
        return answer

    def _predict(self, request: Request, request_id: str, scores: Scores, seen: Observation) -> Answer:
        top_k = predict_options(request.options, self.rules)
        if any(id(p) not in scores.rows for p in request.sound):
            scores = self._score([request])
        if request.sound:
            seen.spent({"predict": scores.seconds})
        seen.predicted += [ranked(scores.rows[id(p)])[0] for p in request.sound]
        if request.protocol == "v2":
            return _tensors(*kserve.v2_predictions(self.served, request, [scores.rows[id(p)] for p in request.sound]))

        def entry(picture: Picture) -> dict[str, Any]:
            seconds = {"decode": request.seconds, "predict": scores.seconds}
            return self._stamped(
                request_id,
                seconds,
                {"predictions": response.predictions(self.served, ranked(scores.rows[id(picture)])[:top_k])},
            )

        return _plain_or_v1(request, request_id, seen, "predictions", entry)

    def _explain(self, request: Request, request_id: str, seen: Observation) -> Answer:
        accept = request.accept if request.protocol == "plain" else ""  # KServe's answers are JSON
        options, shown = explain_options(request.options, accept, self.rules)
        _check_protocol(request.protocol, options, shown)
        seen.methods = "+".join(sorted(options.methods))
        bound_together(options, len(request.sound), self.rules)

        def explain(picture: Picture) -> Explanation:
            found = self.explainer.explain(picture.pixels, options)
            seen.explained(found)
            return found

        if request.protocol == "v2":
            kserve.bound_tensors(request, options, self.rules.size, self.limits.max_response_bytes)
            all_found = [(picture, explain(picture)) for picture in request.sound]
            with seen.timed("encode"):
                return _tensors(*kserve.v2_explanations(self.served, request, all_found))
        if shown.format != "json":
            [picture] = request.sound
            found = explain(picture)
            with seen.timed("encode"):
                return self._file(request, request_id, picture, found, options, shown.format)

        def entry(picture: Picture) -> dict[str, Any]:
            found = explain(picture)
            with seen.timed("encode"):
                fields = response.explanation(self.served, picture, found, shown.images)
            seconds = {"decode": request.seconds, **found.seconds, "encode": seen.seconds[-1][1]}
            return self._stamped(request_id, seconds, fields)

        return _plain_or_v1(request, request_id, seen, "explanations", entry)

    def _file(
        self, request: Request, request_id: str, picture: Picture, found: Explanation, options: Options, name: str
    ) -> Answer:
        """npz, png or html."""
        if name == "npz":
            return Answer(HTTPStatus.OK, NPZ, response.npz(picture, found))
        from ..pictures.figure import panel  # draws with matplotlib, which a worker that never draws need not import

        figure = panel(found, self.served.record)
        if name == "png":
            return Answer(HTTPStatus.OK, PNG, figure)
        fields = response.explanation(self.served, picture, found, images=False)
        answer = self._stamped(request_id, {"decode": request.seconds, **found.seconds}, fields)
        return Answer(HTTPStatus.OK, HTML, report(answer, options, figure))

    def _stamped(self, request_id: str, seconds: Mapping[str, float], fields: dict[str, Any]) -> dict[str, Any]:
        timing = {stage: round(1000 * spent, 3) for stage, spent in seconds.items()}
        return {"request_id": request_id, "model": self.served.model(), **fields, "timing_ms": timing}


def device_name(device: torch.device) -> str:
    """cpu, or cuda:0 with the card's name."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def _check_protocol(protocol: str, options: Options, shown: Presentation) -> None:
    """Refuse what the KServe routes cannot answer."""
    if protocol != "plain" and shown.format != "json":
        raise InvalidOption("format", "json on the KServe routes", shown.format)
    if protocol == "v2" and options.others:
        raise UnusableOption("`others` are pictures, of which there are no tensors: leave it out", "others")


def _plain_or_v1(
    request: Request, request_id: str, seen: Observation, key: str, entry: Callable[[Picture], dict[str, Any]]
) -> Answer:
    """The plain answer of one picture, or V1's list in which an instance that fails has its error.

    Where no instance can be read the first one's status is the answer's.
    """
    if request.protocol == "plain":
        return _json(entry(request.sound[0]))

    def attempt(picture: Picture | RequestError) -> dict[str, Any]:
        try:
            if isinstance(picture, RequestError):
                raise picture
            return entry(picture)
        except RequestError as error:
            seen.errors.append(error.code)
            return {"error": error.detached().payload(request_id)}
        except Exception as error:
            return {"error": _internal(request_id, seen, error).payload(request_id)}

    first = request.pictures[0]
    status = HTTPStatus.OK if request.sound or isinstance(first, Picture) else HTTPStatus(first.status)
    return _json({key: [attempt(picture) for picture in request.pictures]}, status)


def _what_fills(request: Request, answer: Answer) -> str:
    """What an explanation in this shape is to have less of."""
    if request.protocol == "v2":
        return "pictures, `features` or `layer`s, or name the `outputs` you need"
    return "`features`, `layer`s or `others`" + (", or `images`=false" if answer.content_type == JSON else "")


def _internal(request_id: str, seen: Observation, error: Exception) -> InternalError:
    """What a client is told of an exception, which is logged under the request's id."""
    log.exception("request %s failed", request_id)
    # No memory left passes, whether torch's allocator says so, by another exception, or CUDA itself.
    failed = isinstance(error, torch.AcceleratorError)
    seen.device_lost |= failed and getattr(error, "error_code", None) != OUT_OF_MEMORY
    refusal = InternalError("the server failed on this request; its log has the cause under this request id")
    seen.errors.append(refusal.code)
    return refusal


def _attempt(request_id: str, seen: Observation, step: Callable[[], T]) -> T | Answer:
    """The step's result, or the answer that says why there is none."""
    try:
        return step()
    except RequestError as error:
        refusal = error.detached()
        seen.errors.append(refusal.code)
    except Exception as error:
        refusal = _internal(request_id, seen, error)
    refusal.in_v2 |= seen.protocol == "v2"
    return _json(refusal.answer(request_id), HTTPStatus(refusal.status))


def _json(fields: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(status, JSON, response.json_bytes(fields))


def _tensors(body: bytes, headers: Mapping[str, str]) -> Answer:
    return Answer(HTTPStatus.OK, BINARY if headers else JSON, body, headers)
