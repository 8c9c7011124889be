"""Requests in, answers out: the same for every server and for the command line."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import torch

from ..errors import InternalError, TooMuchWork, of_picture
from ..explainer import Explainer
from ..explanation import Explanation, Scores
from ..net.device import is_lost
from ..net.precision import supported_precisions
from ..options import Options
from ..pictures.samples import Sample
from ..pictures.view import Picture
from ..wire import response
from ..wire.options import explain_options, predict_options
from ..wire.origin import check_origin
from ..wire.page.page import page
from ..wire.request import Incoming, Request, read
from ..wire.rules import MAX_OTHERS, Rules, bound_together
from ..wire.sizes import smaller
from ..wire.v2 import answers as v2
from .answer import Answer, attempt, in_json, in_tensors
from .observation import Observation, Observer, unobserved
from .rendering import HTML, RENDERERS, Job, instances
from .settings import Limits
from .threads import Priority, here

log = logging.getLogger(__name__)

# What to ask for, by protocol, where predictions of a picture are too large an answer.
SMALLER_PREDICTIONS = {"plain": "a smaller `top_k`", "v1": "a smaller `top_k`", "v2": "only the `outputs` you need"}

T = TypeVar("T")


@dataclass(frozen=True)
class Scored:
    """The scores of a batch's pictures, and the seconds they took."""

    rows: Mapping[Picture, Scores]
    seconds: float


class Runner(Protocol):
    """Does a piece of work, here or elsewhere, and returns what it returns."""

    def __call__(self, work: Callable[[], T], priority: Priority, /) -> T: ...


class Service:
    """Answers predict and explain requests with one explainer; no request can fail another.

    `allowed_origin` is the one other web origin whose pages may ask, `*` all of them; `run`
    does what takes long; `samples` are the pictures that the page offers. Once `device_lost` is true, nothing is
    computed any more before a new process.
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
        samples: Sequence[Sample] = (),
    ) -> None:
        record = explainer.record
        self.explainer, self.limits, self.observer = explainer, limits, observer
        self.allowed_origin, self.run, self.samples = allowed_origin, run, samples
        self.device_lost = False
        self.served = response.Served(name, version, device_name(explainer.device), record)
        self.rules = Rules(
            record.classes,
            explainer.chain.map_counts,
            record.preprocessing.size,
            supported_precisions(explainer.device),
            limits.max_squares,
            limits.max_squares_crosscheck,
            explainer.keeps_float32,
            MAX_OTHERS if explainer.atlas else 0,
        )

    def answer(self, incoming: Sequence[Incoming], ids: Sequence[str]) -> list[Answer]:
        """Answer a batch in order, one answer a request; its predictions share one pass through the net."""
        start = time.perf_counter()
        observations = [Observation(i, endpoint(one)) for i, one in zip(ids, incoming, strict=True)]
        requests = [attempt(o, partial(self._read, one, o)) for one, o in zip(incoming, observations, strict=True)]
        scored = self._score_together([r for r in requests if isinstance(r, Request) and not r.explain])
        answers = [
            r if isinstance(r, Answer) else attempt(o, partial(self._respond, r, scored, o))
            for r, o in zip(requests, observations, strict=True)
        ]
        for answer, seen in zip(answers, observations, strict=True):
            log.info("request %s: %d, %d bytes", seen.request_id, answer.status, len(answer.body))
            for method, agrees in seen.crosschecks:
                if not agrees:
                    log.warning("request %s: %s differs from Captum's", seen.request_id, method)
        self._report(observations, answers, time.perf_counter() - start)
        return answers

    def _report(self, observations: list[Observation], answers: list[Answer], seconds: float) -> None:
        """Tell the observer; its failure costs no answer."""
        for one, answer in zip(observations, answers, strict=True):
            one.status = answer.status.value
        if any(InternalError.code in one.errors for one in observations):  # cuBLAS and cuDNN do not say what it was
            self.device_lost |= is_lost(self.explainer.device)
        try:
            self.observer(observations, seconds)
        except Exception:
            log.exception("%d requests were answered but not counted", len(observations))

    def _read(self, incoming: Incoming, observation: Observation) -> Request | Answer:
        check_origin(incoming.header, self.allowed_origin)
        if incoming.wants_page:
            observation.protocol = "page"
            crop = self.served.record.preprocessing.crop
            return Answer(HTTPStatus.OK, HTML, page(self.served.name, self.rules, self.samples, crop))
        request = read(incoming, self.served.record.preprocessing)
        observation.protocol = request.protocol
        observation.spent({"decode": request.seconds})
        return request

    def _score_together(self, requests: list[Request]) -> Scored:
        """One pass through the net for a batch; nothing where it fails, so that each row tries alone."""
        try:
            return self._score(requests)
        except Exception:
            log.exception("a pass over %d predict requests failed; each is tried by itself", len(requests))
            return Scored({}, 0.0)

    def _score(self, requests: list[Request]) -> Scored:
        start = time.perf_counter()
        pictures = [p for r in requests for p in r.sound]
        rows: Sequence[Scores] = ()
        if pictures:
            rows = self.run(partial(self.explainer.scores, [p.pixels for p in pictures]), Priority.URGENT)
        return Scored(dict(zip(pictures, rows, strict=True)), time.perf_counter() - start)

    def _respond(self, request: Request, scored: Scored, observation: Observation) -> Answer:
        if request.explain:
            return self.run(partial(self._explain, request, observation), Priority.LOW)
        answer = self._predict(request, scored, observation)
        return self._bounded(answer, request, SMALLER_PREDICTIONS[request.protocol])

    def _predict(self, request: Request, scored: Scored, observation: Observation) -> Answer:
        top_k = predict_options(request.options, self.rules, request.protocol)
        if any(p not in scored.rows for p in request.sound):
            scored = self._score([request])
        if request.sound:
            observation.spent({"predict": scored.seconds})
        observation.predicted += [scored.rows[p].predictions[0] for p in request.sound]
        if request.protocol == "v2":
            rows = [scored.rows[p].probabilities for p in request.sound]
            return in_tensors(*v2.predictions(self.served, request, rows))

        def entry(picture: Picture) -> dict[str, Any]:
            seconds = {"decode": request.seconds, "predict": scored.seconds}
            found = response.predictions(self.served, scored.rows[picture].predictions[:top_k])
            return response.stamped(self.served, observation.request_id, seconds, {"predictions": found})

        if request.protocol == "v1":
            return instances(request, observation, "predictions", entry)
        return in_json(entry(request.sound[0]))

    def _explain(self, request: Request, observation: Observation) -> Answer:
        accept = request.accept if request.protocol == "plain" else ""  # KServe's answers are JSON
        options, shown = explain_options(request.options, accept, self.rules, request.protocol)
        chosen = RENDERERS[request.protocol, shown.format]
        observation.methods = "+".join(sorted(options.methods))
        bound_together(options, len(request.sound), self.rules)
        chosen.check(request, options, self.rules, self.limits.max_response_bytes)
        if request.protocol == "v2" and options.contrast is not None:
            self._check_contrasts(request.sound, options)

        def explain(picture: Picture) -> Explanation:
            found = self.explainer.explain(picture.pixels, options)
            observation.explained(found)
            return found

        answer = chosen.render(Job(self.served, request, observation, options, shown.images, explain))
        return self._bounded(answer, request, chosen.too_large)

    def _check_contrasts(self, pictures: list[Picture], options: Options) -> None:
        """Raise UnusableOption for a picture without such a contrast before any is explained."""
        if len(pictures) > 1:
            for number, scores in enumerate(self.explainer.scores([p.pixels for p in pictures])):
                with of_picture(number, len(pictures)):
                    self.explainer.compared(scores.predictions, options)

    def _bounded(self, answer: Answer, request: Request, too_large: str) -> Answer:
        """Raise TooMuchWork, with what to ask for, where an answer is over the limit of bytes."""
        if len(answer.body) > self.limits.max_response_bytes:
            raise TooMuchWork(
                f"the answer has {len(answer.body):,} bytes, more than this server's "
                f"{self.limits.max_response_bytes:,}: ask for {smaller(len(request.pictures), too_large)}"
            )
        return answer


def endpoint(incoming: Incoming) -> str:
    """What was asked for, as it is counted: the page is at the address of explanations, and none."""
    if incoming.wants_page:
        return "page"
    return "explain" if incoming.explain else "predict"


def device_name(device: torch.device) -> str:
    """cpu, or cuda:0 with the card's name."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
