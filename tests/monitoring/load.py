"""A small mixed load: predictions, explanations with and without a cross-check, and bad requests."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from ..samples import encoded, noise

PREDICT, EXPLAIN = "/predictions/zfnet", "/explanations/zfnet"
PICTURES = [encoded(noise(seed=seed)) for seed in range(3)]
# As little work as explanations of each kind can be.
SQUARES = {"window": "112", "stride": "112"}
EXPLANATIONS = [
    SQUARES | {"features": "2"},
    SQUARES | {"methods": "occlusion", "fill": "black"},
    SQUARES | {"features": "2", "crosscheck": "captum"},
]


def send(client: httpx.Client) -> int:
    """One round of it, all at once, for the server waits to fill a batch; returns how many requests it was."""
    picture = {"data": PICTURES[0]}
    asked: list[tuple[str, dict[str, Any], int]] = [
        *((PREDICT, {"files": {"data": one}}, 200) for one in PICTURES),
        *((EXPLAIN, {"files": picture, "data": options}, 200) for options in EXPLANATIONS),
        (PREDICT, {"content": b"nothing"}, 415),
        (EXPLAIN, {"files": picture, "data": {"stride": "0"}}, 400),
    ]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda one: client.post(one[0], **one[1]), asked))
    assert [answer.status_code for answer in answers] == [status for *_, status in asked]
    return len(asked)
