"""A small mixed load: predictions, explanations with and without a cross-check, and bad requests."""

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
    """One round of it; returns how many requests it was."""
    good = [client.post(PREDICT, files={"data": picture}) for picture in PICTURES]
    good += [client.post(EXPLAIN, files={"data": PICTURES[0]}, data=options) for options in EXPLANATIONS]
    assert [answer.status_code for answer in good] == [200] * len(good)
    bad = [
        client.post(PREDICT, content=b"nothing"),
        client.post(EXPLAIN, files={"data": PICTURES[0]}, data={"stride": "0"}),
    ]
    assert [answer.status_code for answer in bad] == [415, 400]
    return len(good) + len(bad)
