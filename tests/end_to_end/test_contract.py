"""What TorchServe in front of the handler does and answers itself is as deploy/openapi.yaml says."""

import httpx
import pytest

from ..document import DOCUMENT, SERVED, check, response
from ..samples import encoded, noise

PREDICT = "/predictions/zfnet"


@pytest.mark.parametrize("path", list(SERVED))
def test_another_models_name_is_not_found(client: httpx.Client, path: str) -> None:
    answer = client.post(path.replace("zfnet", "alexnet"), content=b"{}")
    assert answer.status_code == 404
    check(response(path, 404)["content"]["application/json"]["schema"], answer.json())
    assert answer.json()["type"] == "ModelNotFoundException"


def test_a_request_over_torchserves_limit_has_an_empty_answer(client: httpx.Client) -> None:
    answer = client.post(PREDICT, content=bytes(33 * 2**20))
    assert (answer.status_code, answer.content) == (413, b"")
    assert "with an empty body" in response(PREDICT, 413)["description"]


def test_the_request_id_is_a_header_too(client: httpx.Client) -> None:
    for content in (encoded(noise()), b"nothing"):
        answer = client.post(PREDICT, content=content)
        body = answer.json()
        assert answer.headers["x-request-id"] == body.get("error", body)["request_id"]


def test_a_browser_gets_the_page(client: httpx.Client) -> None:
    answer = client.get("/explanations/zfnet", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == "text/html"


def test_every_method_reaches_the_model(client: httpx.Client) -> None:
    """Not as one would wish, but as the document says."""
    answer = client.request("DELETE", PREDICT, content=encoded(noise()))
    assert answer.status_code == 200
    assert "DELETE with a picture is answered as POST is" in " ".join(DOCUMENT["info"]["description"].split())
