"""A server's life: started by `zfnet-explainer serve`, probed, asked, stopped under load, and gone."""

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from zfnet_explainer.service import metrics
from zfnet_explainer.torchserve.activity import IN_PROGRESS
from zfnet_explainer.torchserve.config import ServerOptions
from zfnet_explainer.torchserve.drain import POLL_S
from zfnet_explainer.torchserve.run_folder import claimed

from ..waiting import PATIENCE_S, wait_for
from .running import SETTLE_S, Serving, ask, processes_of, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The server that all tests here ask, and the last one stops.

    Of a person whose language is not installed, and who has another server's configuration in the environment.
    """
    options = replace(ServerOptions.on_free_ports(), token=True, model="figure-7")
    folder = tmp_path_factory.mktemp("vie à deux")
    others = tmp_path_factory.mktemp("others") / "config.properties"
    others.write_text("inference_address=http://127.0.0.1:1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LC_ALL", "xx_XX.UTF-8")
        patch.setenv("TS_CONFIG_FILE", str(others))
        with serving(folder, options) as running:
            yield running


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=PATIENCE_S, trust_env=False) as client:
        yield client


def test_asks_for_its_key_and_says_so(life: Serving) -> None:
    assert 'curl -H "Authorization: Bearer $KEY" -T' in life.output
    assert life.key()["Authorization"].removeprefix("Bearer ") not in life.output, "it would be in a log"
    assert life.asked("predict", "picture").result().text == "picture"
    assert life.predicted(life.key()) == 200
    assert life.predicted({}) == 400, "without a key"


def test_a_browser_that_asks_beforehand_is_refused_for_want_of_a_key(life: Serving, client: httpx.Client) -> None:
    url = f"{life.options.inference_url}/explanations/{life.options.model}"
    asked = {"Origin": "https://d.example", "Access-Control-Request-Method": "POST"}
    answer = client.options(url, headers=asked)
    assert (answer.status_code, answer.json()["type"]) == (400, "InvalidKeyException"), "else `serve` need not refuse"


def test_nothing_makes_it_fetch_from_elsewhere(life: Serving, client: httpx.Client) -> None:
    elsewhere = {"url": f"{life.options.metrics_url}/metrics"}
    url, key = life.options.management_url, life.key("management")
    assert client.post(f"{url}/models", params=elsewhere, headers=key).status_code == 405
    refused = client.post(f"{url}/workflows", params=elsewhere, headers=key)
    assert "does not match any allowed URL" in refused.text


def test_tells_prometheus_who_asked(life: Serving, client: httpx.Client) -> None:
    assert life.predicted(life.key()) == 200
    assert "ts_inference_requests_total" in client.get(f"{life.options.metrics_url}/metrics").text


def test_probes_outlive_their_key(life: Serving) -> None:
    run = life.folder.root
    assert ask(run, "ready") == ask(run, "alive") == (0, "")
    keys = json.loads(life.folder.key_file.read_text())
    keys["management"]["key"] = "over"  # as after an hour
    life.folder.key_file.write_text(json.dumps(keys))
    assert ask(run, "ready") == (0, ""), "it gets a new one"
    assert life.key("management") != {"Authorization": "Bearer over"}


def test_a_new_key_comes_from_where_it_says(life: Serving, client: httpx.Client) -> None:
    [address] = re.findall(r"GET (http\S+),", life.output)
    before = life.key()
    assert life.predicted(before) == 200
    assert client.get(address, headers=life.key("API")).status_code == 200
    assert (life.predicted(before), life.predicted(life.key())) == (400, 200)


def test_requests_in_flight_are_answered_and_nothing_is_left_behind(life: Serving) -> None:
    run, group = life.folder.root, life.java()
    explanation = life.explaining()
    assert ask(run, "ready") == (0, "")
    bodies = [f"picture {i}" for i in range(5)]
    predictions = [life.asked("predict", body) for body in bodies]
    wait_for(lambda: life.waiting() == 5, "the predictions do not wait behind the explanation")

    life.process.send_signal(signal.SIGTERM)
    wait_for(life.folder.leaving.exists, "nobody is told that the server is about to stop")
    assert ask(run, "ready") == (1, "not ready: the server is about to stop\n")
    assert ask(run, "alive") == (0, "")
    predictions.append(life.asked("predict", "late"))  # from who has not noticed yet
    wait_for(lambda: life.waiting() == 6, "a late request is refused")
    settled = life.looks() + 2 * SETTLE_S / POLL_S
    wait_for(lambda: life.looks() > settled or life.process.poll() is not None, "it does not look what is unanswered")
    assert life.process.poll() is None, "nobody has asked for long, but answers are due"

    life.go.touch()
    answers = [explanation.result(), *(prediction.result() for prediction in predictions)]
    assert [answer.status_code for answer in answers] == 7 * [200]
    assert [answer.text for answer in answers] == [str(life.go), *bodies, "late"]
    code, rest, errors = life.ended()
    assert (code, errors, rest.splitlines()[-1]) == (0, "", "stopped")

    assert processes_of(run) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
    life.options.check_ports()
    assert set(os.listdir(run.parent)) == {"waiting.mar", "run", "go", "go.started"}
    assert not life.folder.key_file.exists(), "its keys have died with it"
    code, said = ask(run, "alive")
    assert (code, said.startswith("not alive: TorchServe does not answer: ")) == (1, True)
    with claimed(run) as (folder, _):
        folder.empty()
        assert not folder.leaving.exists(), "the next server is not the one that left"


def test_what_the_drain_reads_is_what_the_handler_tells() -> None:
    assert metrics.progress_sample(1, "9000").metric.name == IN_PROGRESS
