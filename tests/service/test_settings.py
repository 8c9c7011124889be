"""Settings of a worker: the shipped ones, every key that may be said, and what is refused before anything is loaded."""

from typing import Any

import pytest
import yaml

from zfnet_explainer.service import settings
from zfnet_explainer.service.settings import SETTINGS, BadSettings, Limits, WorkerSettings
from zfnet_explainer.torchserve.archive import CONFIG_TEMPLATE, WorkerOptions, model_config

CORES = 8


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "usable_cores", lambda: CORES)


def parsed(workers: int = 1, **explainer: Any) -> WorkerSettings:
    return WorkerSettings.parse({"minWorkers": workers, "explainer": explainer})


def test_what_is_shipped_is_what_is_meant_where_nothing_is_said() -> None:
    shipped = yaml.safe_load(CONFIG_TEMPLATE.read_text())
    assert list(shipped["explainer"]) == list(SETTINGS)
    packed = yaml.safe_load(model_config(WorkerOptions()))
    nothing = WorkerSettings.parse({})
    assert WorkerSettings.parse(shipped) == WorkerSettings.parse(packed) == nothing
    assert (nothing.limits, nothing.threads, nothing.occlusion_memory) == (Limits(), CORES, None)


def test_every_setting_is_obeyed() -> None:
    found = parsed(
        max_squares=9, max_squares_crosscheck=4, max_response_bytes=100, allowed_origin="https://a.example",
        occlusion_memory_mib=96, device="cuda", threads=3,
    )  # fmt: skip
    assert found == WorkerSettings(Limits(9, 4, 100), "cuda", 3, 96 * 1024 * 1024, "https://a.example")
    assert parsed(allowed_origin=None).allowed_origin == ""
    assert WorkerSettings.parse({"explainer": None}) == parsed()


@pytest.mark.parametrize("origin", ["", "*", "null", "http://localhost:3000", "https://xn--bcher-kva.example"])
def test_an_origin_is_one_that_browsers_send(origin: str) -> None:
    assert parsed(allowed_origin=origin).allowed_origin == origin


@pytest.mark.parametrize(
    "origin",
    ["https://a.example/", "HTTPS://a.example", "https://A.example", "a.example", "https://a.example:443",
     "https://a.example, https://b.example", ["https://a.example"], 1, True],
)  # fmt: skip
def test_an_origin_that_no_browser_sends_is_refused(origin: object) -> None:
    with pytest.raises(
        BadSettings, match=r"^explainer\.allowed_origin in model-config\.yaml is a web origin as browsers"
    ):
        parsed(allowed_origin=origin)


@pytest.mark.parametrize(("workers", "threads"), [(1, 8), (2, 4), (3, 2), (8, 1), (20, 1)])
def test_workers_share_the_cores(workers: int, threads: int) -> None:
    assert parsed(workers).threads == threads
    assert parsed(workers, threads=5).threads == 5


@pytest.mark.parametrize("name", ["max_squares", "max_squares_crosscheck", "max_response_bytes"])
@pytest.mark.parametrize("value", [0, -1, "4096", 1.5, True, None, "auto"])
def test_numbers_are_whole_and_positive(name: str, value: object) -> None:
    with pytest.raises(BadSettings) as caught:
        WorkerSettings.parse({"explainer": {name: value}})
    assert str(caught.value) == f"explainer.{name} in model-config.yaml is a whole number from 1 on, not {value!r}"


@pytest.mark.parametrize("name", ["threads", "occlusion_memory_mib"])
@pytest.mark.parametrize("value", [0, -1, "many", 1.5, True, None])
def test_numbers_that_may_be_auto(name: str, value: object) -> None:
    with pytest.raises(BadSettings, match=rf"^explainer\.{name} in model-config\.yaml is auto or a whole number"):
        WorkerSettings.parse({"explainer": {name: value}})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"explainer": {"max_square": 9}},
            "explainer.max_square in model-config.yaml is unknown: there are max_squares,",
        ),
        ({"explainer": {"device": "tpu"}}, "explainer.device in model-config.yaml is auto, cpu or cuda, not 'tpu'"),
        ({"explainer": ["cpu"]}, "explainer in model-config.yaml is a section of settings, not ['cpu']"),
        ({"minWorkers": 0}, "minWorkers in model-config.yaml is a whole number from 1 on, not 0"),
        ({"minWorkers": "2"}, "minWorkers in model-config.yaml is a whole number from 1 on, not '2'"),
    ],
)
def test_what_is_refused_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSettings) as caught:
        WorkerSettings.parse(config)
    assert str(caught.value).startswith(message)
