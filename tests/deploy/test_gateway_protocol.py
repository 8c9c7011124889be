"""The Open Inference Protocol at the gateway: its health, its metadata, and its errors, which are text alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from zfnet_explainer.torchserve.server import RunningServer

from ..document import ANSWERED_BY_THE_GATEWAY, check, response
from ..needs import needs
from ..samples import encoded, noise
from .conftest import Pools
from .gateway import EXPLAIN, PREDICT, Gateway, fill, refusal, refusal_v2, running_gateway
from .upstream import Reply, torchserve_error

pytestmark = needs("envoy")

INFER, EXPLAIN_V2 = "/v2/models/zfnet/infer", "/v2/models/zfnet/explain"
MODEL_READY = ("/v1/models/zfnet", "/v2/models/zfnet/ready")
READY = {"/v2/health/ready": {"ready": True}, **{path: {"name": "zfnet", "ready": True} for path in MODEL_READY}}
KNOWN = ("/", "/v2", "/v2/health/live", "/v2/models/zfnet")
PICTURE = encoded(noise())


@pytest.fixture
def anybody(gateway: Gateway) -> Iterator[httpx.Client]:
    """A client without a token."""
    with gateway.client(None) as client:
        yield client


def check_documented(answer: httpx.Response, path: str) -> None:
    """Raise where the answer is not as deploy/openapi.yaml says."""
    said = response(path, answer.status_code, "get")
    check(said["content"]["application/json"]["schema"], answer.json())
    assert {name.lower() for name in said["headers"]} <= set(answer.headers)


def test_what_it_answers_itself_is_documented() -> None:
    assert {*KNOWN, *READY} == set(ANSWERED_BY_THE_GATEWAY)


@pytest.mark.parametrize("path", KNOWN)
def test_what_needs_no_server_is_answered_without_one(pools: Pools, anybody: httpx.Client, path: str) -> None:
    answer = anybody.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    check_documented(answer, path)
    assert not pools["predict"].seen


@pytest.mark.parametrize("path", READY)
def test_a_worker_that_draws_the_page_is_ready(pools: Pools, anybody: httpx.Client, path: str) -> None:
    pools["predict"].reply = Reply(200, "text/html; charset=utf-8", b"<!doctype html>" * 5000)
    answer = anybody.get(path, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == READY[path]
    check_documented(answer, path)
    [seen] = pools["predict"].seen
    assert (seen.method, seen.path, seen.headers["accept"]) == ("GET", EXPLAIN, "text/html")


@pytest.mark.parametrize("path", READY)
@pytest.mark.parametrize(
    "reply",
    [
        torchserve_error(503, "ServiceUnavailableException"),
        torchserve_error(404, "ModelNotFoundException"),
        Reply(None),
    ],
    ids=["full", "no model", "gone"],
)
def test_no_worker_is_not_ready(pools: Pools, anybody: httpx.Client, path: str, reply: Reply) -> None:
    pools["predict"].reply = reply
    answer = anybody.get(path)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    check_documented(answer, path)
    assert "wait for Retry-After seconds" in (
        answer.json()["error"]["message"] if "/v1/" in path else refusal_v2(answer)
    )


@pytest.mark.parametrize("path", [*KNOWN, *READY])
def test_they_take_get_alone(pools: Pools, alice: httpx.Client, path: str) -> None:
    answer = alice.post(path, content=b"picture")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert not pools["predict"].seen


def test_a_token_that_is_missing_is_told_in_text(anybody: httpx.Client, pools: Pools) -> None:
    for path in (INFER, EXPLAIN_V2):
        answer = anybody.post(path, content=b"{}")
        assert answer.status_code == 401
        assert refusal_v2(answer) == "send a token, `Authorization: Bearer TOKEN` (Jwt is missing)"
    assert not pools["predict"].seen + pools["explain"].seen


def test_what_is_too_large_is_told_in_text(alice: httpx.Client) -> None:
    answer = alice.post(INFER, content=bytes(28 * 2**20 + 1))
    assert answer.status_code == 413
    assert refusal_v2(answer) == "a request may have 28 MiB, and a picture in it 20 MiB"


def test_an_option_that_comes_twice_is_told_in_text(alice: httpx.Client) -> None:
    answer = alice.post(f"{INFER}?top_k=1&top_k=2", content=b"{}")
    assert (answer.status_code, refusal_v2(answer)) == (400, "`top_k` is given twice")


def test_a_budget_that_is_spent_is_told_in_text(gateway: Gateway, pools: Pools) -> None:
    with gateway.client("dave") as dave:
        spent = next(answer for answer in (dave.post(EXPLAIN_V2, content=b"{}") for _ in range(21)) if answer.is_error)
    assert (spent.status_code, spent.headers["retry-after"]) == (429, "2")
    assert refusal_v2(spent) == "this client asks more than its budget allows: wait for Retry-After seconds"
    assert len(pools["explain"].seen) == 20


def test_a_pool_that_is_full_is_told_in_text(gateway: Gateway, pools: Pools, alice: httpx.Client) -> None:
    with ThreadPoolExecutor() as executor, pools["explain"].held():
        fill(gateway, pools["explain"], lambda: executor.submit(alice.post, EXPLAIN, content=b"picture"))
        answer = alice.post(EXPLAIN_V2, content=b"{}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert refusal_v2(answer) == "no server is free or reachable: wait for Retry-After seconds"


@pytest.mark.parametrize(
    ("reply", "status", "message"),
    [
        (
            torchserve_error(503, "ServiceUnavailableException"),
            503,
            "all workers are busy: wait for Retry-After seconds",
        ),
        (torchserve_error(400, "BadRequestException"), 400, "the server cannot read this request"),
        (Reply(413, content_type=None, body=b""), 413, "a request may have 28 MiB, and a picture in it 20 MiB"),
        (Reply(415, body=b'{"error":"no \\"message\\":\\"\xc3\xa4\\""}'), 415, 'no "message":"ä"'),
    ],
    ids=["full", "unread", "large", "the handler's"],
)
def test_a_servers_errors_are_text(pools: Pools, alice: httpx.Client, reply: Reply, status: int, message: str) -> None:
    pools["predict"].reply = reply
    answer = alice.post(INFER, content=b"{}")
    assert (answer.status_code, refusal_v2(answer)) == (status, message)


def test_elsewhere_a_refusal_has_its_code(anybody: httpx.Client, pools: Pools) -> None:
    for path in (PREDICT, "/v1/models/zfnet:predict"):
        assert refusal(anybody.post(path, content=b"{}"))["code"] == "unauthenticated"
    assert not pools["predict"].seen


@pytest.fixture(scope="module")
def real(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before the net's own server."""
    address = server.inference_url.removeprefix("http://")
    with running_gateway(tmp_path_factory.mktemp("real"), {"predict": [address], "explain": [address]}) as running:
        yield running


@pytest.fixture(scope="module")
def triton(real: Gateway) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(
        real.url.removeprefix("https://"), ssl=True, ssl_context_factory=lambda: real.trust, network_timeout=300
    )
    yield client
    client.close()


def test_triton_finds_a_model_that_is_ready(triton: InferenceServerClient) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("zfnet")
    assert triton.get_server_metadata()["name"] == "zfnet-explainer"


def test_the_metadata_are_those_of_the_answers(triton: InferenceServerClient, real: Gateway) -> None:
    metadata = triton.get_model_metadata("zfnet")
    [image] = metadata["inputs"]
    tensor = InferInput(image["name"], [1], image["datatype"])
    tensor.set_data_from_numpy(np.array([PICTURE], object))
    found = triton.infer("zfnet", [tensor], headers={"Authorization": f"Bearer {real.tokens['alice']}"}).get_response()
    assert (metadata["name"], metadata["versions"]) == (found["model_name"], [found["model_version"]])
    told = [(output["name"], output["datatype"], len(output["shape"])) for output in metadata["outputs"]]
    assert told == [(output["name"], output["datatype"], len(output["shape"])) for output in found["outputs"]]


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_triton_infers_through_it(triton: InferenceServerClient, real: Gateway, binary: bool) -> None:
    headers = {"Authorization": f"Bearer {real.tokens['alice']}"}
    pixels = InferInput("image", [1, 224, 224, 3], "UINT8")
    pixels.set_data_from_numpy(noise()[None], binary_data=binary)
    found = triton.infer("zfnet", [pixels], headers=headers)
    with real.client() as client:
        plain = client.post(PREDICT, params={"top_k": 20}, content=PICTURE).json()["predictions"]
    expected = [one["probability"] for one in sorted(plain, key=lambda one: one["class_index"])]
    np.testing.assert_allclose(found.as_numpy("probabilities")[0], expected, atol=1e-6)


def test_triton_can_tell_what_the_gateway_refuses(triton: InferenceServerClient) -> None:
    image = InferInput("image", [1], "BYTES")
    image.set_data_from_numpy(np.array([PICTURE], object))
    with pytest.raises(InferenceServerException) as caught:
        triton.infer("zfnet", [image])
    assert caught.value.status() == "401"
    assert caught.value.message() == "send a token, `Authorization: Bearer TOKEN` (Jwt is missing)"


def test_triton_can_tell_an_option_that_the_server_does_not_know(triton: InferenceServerClient, real: Gateway) -> None:
    image = InferInput("image", [1], "BYTES")
    image.set_data_from_numpy(np.array([PICTURE], object))
    headers = {"Authorization": f"Bearer {real.tokens['alice']}"}
    with pytest.raises(InferenceServerException, match="unknown option `frmat`"):
        triton.infer("zfnet", [image], headers=headers, query_params={"frmat": "png"})
