"""What happened to a request while it was answered, for whoever counts requests."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..explanation import Explanation, Prediction


@dataclass
class Observation:
    """One request; those who answer it fill this in, so a refused one holds what was done until then.

    `seconds` are (stage, seconds) in the order they were spent: a stage occurs once a picture.
    `errors` are the codes of a refusal, or of the instances that failed in an answered V1 request.
    """

    request_id: str
    endpoint: str
    protocol: str = "unread"
    methods: str = "none"
    status: int = 0
    seconds: list[tuple[str, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    predicted: list[Prediction] = field(default_factory=list)
    positions: int = 0
    drops: list[float] = field(default_factory=list)
    crosschecks: list[tuple[str, bool]] = field(default_factory=list)

    def spent(self, seconds: Mapping[str, float]) -> None:
        """Add the seconds of these stages."""
        self.seconds.extend(seconds.items())

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds spent inside, where it succeeds."""
        start = time.perf_counter()
        yield
        self.seconds.append((stage, time.perf_counter() - start))

    def explained(self, explanation: Explanation) -> None:
        """Add what one picture's explanation found."""
        self.spent(explanation.seconds)
        self.predicted.append(explanation.predictions[0])
        if explanation.occlusion is not None:
            self.positions += len(explanation.occlusion.squares)
            self.drops.append(explanation.occlusion.drop)
        if explanation.crosscheck is not None:
            self.crosschecks += [
                (method, one.agrees)
                for method, one in explanation.crosscheck.agreements.items()
                if one.agrees is not None
            ]


# Called once a batch with its requests and the seconds from the batch's arrival to its answers.
Observer = Callable[[Sequence[Observation], float], None]


def unobserved(batch: Sequence[Observation], seconds: float) -> None:
    """The observer of a service whose requests nobody counts."""
