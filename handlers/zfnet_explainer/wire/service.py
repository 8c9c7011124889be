"""Requests in, answers out: the same for every server and for the command line."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import torch

from ..explainer import Explainer, ranked, supported_precisions
from ..explanation import Explanation, FloatArray
from . import kserve, response
from .errors import InternalError, InvalidOption, RequestError, TooMuchWork
from .image import Picture
from .options import Rules, explain_options, predict_options
from .request import Incoming, Request, read

log = logging.getLogger(__name__)

JSON, PNG, NPZ = "application/json", "image/png", "application/x-npz"
T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """Bounds of one request's work and of its answer's size, set by the server's configuration."""

    max_squares: int = 4096
    max_squares_crosscheck: int = 1024
    max_response_bytes: int = 6_553_500


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, content type and body."""

    status: HTTPStatus
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Scores:
    """Probabilities of a batch's pictures, by the picture's identity, and the seconds they took."""

    rows: Mapping[int, FloatArray]
    seconds: float


class Service:
    """Answers predict and explain requests with one explainer; no request can fail another."""

    def __init__(self, explainer: Explainer, name: str, version: str, limits: Limits) -> None:
        record = explainer.record
        self.explainer, self.limits = explainer, limits
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
        requests = [_attempt(i, partial(read, one, self.rules.size)) for one, i in zip(incoming, ids, strict=True)]
        scores = self._score_together([r for r in requests if isinstance(r, Request) and not r.explain])
        answers = [
            r if isinstance(r, Answer) else _attempt(i, partial(self._respond, r, i, scores))
            for r, i in zip(requests, ids, strict=True)
        ]
        for answer, i in zip(answers, ids, strict=True):
            log.info("request %s: %d, %d bytes", i, answer.status, len(answer.body))
        return answers

    def _score_together(self, requests: list[Request]) -> Scores:
        """One pass through the net for a batch; nothing where it fails, so that each row tries alone."""
        try:
            return self._score(requests)
        except RuntimeError:
            log.exception("a pass over %d predict requests failed; each is tried by itself", len(requests))
            return Scores({}, 0.0)

    def _score(self, requests: list[Request]) -> Scores:
        start = time.perf_counter()
        pictures = [p for r in requests for p in r.sound]
        rows: Sequence[FloatArray] = ()
        if pictures:
            rows = list(self.explainer.probabilities([p.pixels for p in pictures]))
        return Scores({id(p): row for p, row in zip(pictures, rows, strict=True)}, time.perf_counter() - start)

    def _respond(self, request: Request, request_id: str, scores: Scores) -> Answer:
        answer = self._explain(request, request_id) if request.explain else self._predict(request, request_id, scores)
        if len(answer.body) > self.limits.max_response_bytes:
            raise TooMuchWork(
                f"the answer has {len(answer.body):,} bytes, more than this server's {self.limits.max_response_bytes:,}: "
                "ask for fewer `features` or `layer`s, or `images`=false"
            )
        return answer

    def _predict(self, request: Request, request_id: str, scores: Scores) -> Answer:
        top_k = predict_options(request.options, self.rules)
        if any(id(p) not in scores.rows for p in request.sound):
            scores = self._score([request])
        if request.protocol == "v2":
            return _json(kserve.v2_predictions(self.served, request, [scores.rows[id(p)] for p in request.sound]))

        def entry(picture: Picture) -> dict[str, Any]:
            seconds = {"decode": request.seconds, "predict": scores.seconds}
            return self._stamped(
                request_id,
                seconds,
                {"predictions": response.predictions(self.served, ranked(scores.rows[id(picture)])[:top_k])},
            )

        return _plain_or_v1(request, request_id, "predictions", entry)

    def _explain(self, request: Request, request_id: str) -> Answer:
        options, shown = explain_options(request.options, request.accept, self.rules)
        if request.protocol != "plain" and shown.format != "json":
            raise InvalidOption("format", "json on the KServe routes", shown.format)
        if request.protocol == "v2":
            found = [self.explainer.explain(p.pixels, options) for p in request.sound]
            return _json(kserve.v2_explanations(self.served, request, found))
        if shown.format != "json":
            return self._file(self.explainer.explain(request.sound[0].pixels, options), shown.format)

        def entry(picture: Picture) -> dict[str, Any]:
            found = self.explainer.explain(picture.pixels, options)
            start = time.perf_counter()
            fields = response.explanation(self.served, picture, found, shown.images)
            seconds = {"decode": request.seconds, **found.seconds, "encode": time.perf_counter() - start}
            return self._stamped(request_id, seconds, fields)

        return _plain_or_v1(request, request_id, "explanations", entry)

    def _file(self, found: Explanation, format_name: str) -> Answer:
        if format_name == "npz":
            return Answer(HTTPStatus.OK, NPZ, response.npz(found))
        from .figure import panel  # draws with matplotlib, which a worker that never draws need not import

        return Answer(HTTPStatus.OK, PNG, panel(found, self.served.record))

    def _stamped(self, request_id: str, seconds: Mapping[str, float], fields: dict[str, Any]) -> dict[str, Any]:
        timing = {stage: round(1000 * spent, 3) for stage, spent in seconds.items()}
        return {"request_id": request_id, "model": self.served.model(), **fields, "timing_ms": timing}


def device_name(device: torch.device) -> str:
    """cpu, or cuda:0 with the card's name."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def _plain_or_v1(request: Request, request_id: str, key: str, entry: Callable[[Picture], dict[str, Any]]) -> Answer:
    """The plain answer of one picture, or V1's list in which an instance that fails has its error."""
    if request.protocol == "plain":
        return _json(entry(request.sound[0]))
    return _json(
        {
            key: [
                {"error": picture.payload(request_id)} if isinstance(picture, RequestError) else entry(picture)
                for picture in request.pictures
            ]
        }
    )


def _attempt(request_id: str, step: Callable[[], T]) -> T | Answer:
    """The step's result, or the answer that says why there is none."""
    try:
        return step()
    except RequestError as error:
        refusal = error
    except Exception:
        log.exception("request %s failed", request_id)
        refusal = InternalError("the server failed on this request; its log has the cause under this request id")
    return Answer(HTTPStatus(refusal.status), JSON, response.json_bytes({"error": refusal.payload(request_id)}))


def _json(fields: dict[str, Any]) -> Answer:
    return Answer(HTTPStatus.OK, JSON, response.json_bytes(fields))
