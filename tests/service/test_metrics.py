"""What is counted for requests of every kind, and how it is written for TorchServe to read."""

import base64
import json
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
import yaml
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl

from zfnet_explainer.explanation import Prediction
from zfnet_explainer.methods import captum
from zfnet_explainer.service.metrics import (
    METRICS,
    PREDICTIONS,
    REQUESTS,
    Sample,
    batch_samples,
    memory_samples,
    model_sample,
)
from zfnet_explainer.service.observation import Observation
from zfnet_explainer.service.service import Service
from zfnet_explainer.torchserve.config import METRICS_CONFIG, ServerOptions, properties
from zfnet_handler import cached_metrics, worker_name, write

from ..pictures.drawing.figures import kept
from ..samples import encoded, noise
from ..served import SMALL, sent, service

PNG = encoded(noise())
LAST = "2"  # the class that the random net thinks least of
PROJECT = Path(__file__).parents[2]
# What TorchServe 0.12's Java side reads from a worker's output; a label is a pair of two non-empty parts.
LINE = re.compile(r"\[METRICS]([\w\s]+)\.([\w\s]+):([0-9\-,.e]+)\|#([^|]*)\|#type:([^|,]+)\|#hostname:([^,]+),([^,]+)")
LABEL = re.compile(r"[^:,]+:[^:,]+")


class Notebook:
    """An observer that remembers the last batch."""

    def __init__(self) -> None:
        self.batch: Sequence[Observation] = ()
        self.seconds = -1.0

    def __call__(self, batch: Sequence[Observation], seconds: float) -> None:
        self.batch, self.seconds = batch, seconds


notebook = Notebook()


@pytest.fixture(scope="module")
def observed() -> Service:
    return service(notebook)


def totals(samples: Iterable[Sample]) -> dict[tuple[str, ...], float]:
    """Sums by metric and labels."""
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for sample in samples:
        found[sample.metric.name, *sample.labels] += sample.value
    return found


def test_a_mixed_batch_is_counted_row_by_row(observed: Service) -> None:
    v1 = {"instances": [{"data": {"b64": base64.b64encode(content).decode()}} for content in (PNG, b"nothing")]}
    rows = [
        sent({"body": PNG}, explain=False),
        sent({"data": PNG, **SMALL, "crosscheck": "captum", "target": LAST}, explain=True),
        sent({"body": json.dumps(v1).encode()}, explain=False, kserve=True),
        sent({"data": PNG, "stride": "0"}, explain=True),
        sent({"body": b"nothing"}, explain=True),
        sent({"body": b""}, explain=True, accept="text/html"),
    ]
    answers = observed.answer(rows, list("abcdef"))
    assert [answer.status for answer in answers] == [200, 200, 200, 400, 415, 200]
    found = totals(batch_samples(notebook.batch, notebook.seconds, observed.served))
    requests = {labels[1:]: value for labels, value in found.items() if labels[0] == REQUESTS.name}
    assert requests == {
        ("predict", "plain", "none", "200"): 1,
        ("explain", "plain", "deconv+occlusion", "200"): 1,
        ("predict", "v1", "none", "200"): 1,
        ("explain", "plain", "none", "400"): 1,
        ("explain", "unread", "none", "415"): 1,
        ("page", "page", "none", "200"): 1,
    }
    timed = [labels for labels in found if labels[0] == "zfnet_request_duration_seconds"]
    assert {endpoint for _, endpoint in timed} == {"predict", "explain", "page"}
    assert found["zfnet_batch_size_requests",] == 6
    assert found["zfnet_errors_total", "predict", "unsupported_image"] == 1
    assert found["zfnet_errors_total", "explain", "unsupported_image"] == 1
    assert found["zfnet_errors_total", "explain", "invalid_option"] == 1
    assert found["zfnet_occlusion_positions_total",] == 4
    predicted, explained, instances = (json.loads(answer.body) for answer in answers[:3])
    assert explained["target"]["class_index"] != explained["predictions"][0]["class_index"]
    first = [one["predictions"][0] for one in (predicted, explained, instances["predictions"][0])]
    counted = {labels[1:]: value for labels, value in found.items() if labels[0] == PREDICTIONS.name}
    assert counted == Counter((one["synset"], one["label"]) for one in first)
    assert found["zfnet_prediction_confidence_ratio",] == pytest.approx(sum(one["probability"] for one in first))
    assert notebook.batch[1].drops == [explained["occlusion"]["summary"]["worst"]["drop"]]
    for method in ("deconv", "occlusion"):
        assert found["zfnet_crosschecks_total", method] == 1
        assert found["zfnet_crosscheck_disagreements_total", method] == 0
    stages = {labels[1:] for labels in found if labels[0] == "zfnet_stage_duration_seconds"}
    spent = ("decode", "predict", "deconv", "occlusion", "crosscheck", "encode")
    assert stages == {("predict", "decode"), ("predict", "predict"), *(("explain", stage) for stage in spent)}


def test_the_squares_of_all_instances_are_counted(observed: Service) -> None:
    v1 = {"instances": [{"data": {"b64": base64.b64encode(PNG).decode()}}] * 2, "parameters": SMALL}
    observed.answer([sent({"body": json.dumps(v1).encode()}, explain=True, kserve=True)], ["a"])
    found = totals(batch_samples(notebook.batch, notebook.seconds, observed.served))
    assert found["zfnet_occlusion_positions_total",] == 8
    assert len(notebook.batch[0].drops) == 2


def test_the_log_names_the_request_on_which_captum_does_not_agree(
    observed: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    apart = captum.check_deconv
    monkeypatch.setattr(captum, "check_deconv", lambda *given: apart(*given) + 1)
    request = sent({"data": PNG, **SMALL, "crosscheck": "captum"}, explain=True)
    observed.answer([sent({"body": PNG}, explain=False), request], ["a", "b"])
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warned == ["request b: deconv differs from Captum's"]


def test_values_are_what_was_observed(observed: Service) -> None:
    """And a disagreement counts where there is one."""
    one = Observation("r0", "explain", status=200, predicted=[Prediction(1, 0, 0.75)], drops=[0.25, -0.5])
    one.crosschecks, one.seconds = [("deconv", True), ("occlusion", False)], [("decode", 0.25)]
    found = totals(batch_samples([one], 2.5, observed.served))
    assert found["zfnet_crosscheck_disagreements_total", "deconv"] == 0
    assert found["zfnet_crosscheck_disagreements_total", "occlusion"] == 1
    assert found["zfnet_occlusion_drop_ratio",] == 0.25, "a rise counts as no drop"
    assert found["zfnet_prediction_confidence_ratio",] == 0.75
    assert found["zfnet_request_duration_seconds", "explain"] == 2.5
    assert found["zfnet_stage_duration_seconds", "explain", "decode"] == 0.25
    assert model_sample(observed.served).labels == ("zfnet", "1.0.0", "ab" * 32, "cpu")


def test_instances_are_counted_where_their_errors_are_answered(observed: Service) -> None:
    v1: dict[str, object] = {"instances": [{}, {}]}
    refused = {**v1, "parameters": {"nonsense": 1}}
    rows = [sent({"body": json.dumps(body).encode()}, explain=False, kserve=True) for body in (v1, refused)]
    observed.answer(rows, ["a", "b"])
    answered, other = notebook.batch
    assert answered.errors == ["malformed_body", "malformed_body"]
    assert [stage for stage, _ in answered.seconds] == ["decode"], "there was nothing to predict"
    assert other.errors == ["invalid_option"]


@pytest.mark.parametrize("format_name", ["json", "npz", "png"])
def test_encoding_is_timed_in_every_format(
    observed: Service, format_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(monkeypatch)
    fields = {"data": PNG, "format": format_name, "methods": "deconv", "features": "2"}
    observed.answer([sent(fields, explain=True)], ["a"])
    assert [stage for stage, _ in notebook.batch[0].seconds] == ["decode", "predict", "deconv", "encode"]


def test_labels_are_bounded(observed: Service) -> None:
    """What a client may write reaches no label."""
    rows = [sent({"data": PNG, "target": "x" * 99, "methods": "y,z"}, explain=True)]
    observed.answer(rows, ["a"])
    allowed = {"predict", "explain", "plain", "none", "400", "invalid_option", "decode"}
    for sample in batch_samples(notebook.batch, notebook.seconds, observed.served):
        assert set(sample.labels) <= allowed


def test_a_failing_observer_costs_no_answer(observed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(observed, "observer", failing)
    assert observed.answer([sent({"body": PNG}, explain=False)], ["a"])[0].status == 200


def declared(kinds: dict[str, list[dict[str, object]]]) -> set[tuple[object, ...]]:
    return {(m["name"], kind, m["unit"], *m["dimensions"]) for kind, entries in kinds.items() for m in entries}  # type: ignore[misc]


def documented() -> Iterator[tuple[object, ...]]:
    for row in re.findall(r"^\| `(zfnet_\w+)` \| (\w+) \| ([\w, ]*) ?\| (\w+) \| .+ \|$", table(), re.MULTILINE):
        name, kind, labels, unit = row
        yield name, kind, unit, *(labels.strip().split(", ") if labels.strip() else ())


def table() -> str:
    return (PROJECT / "docs" / "metrics.md").read_text()


def test_code_configuration_and_page_name_the_same_metrics() -> None:
    coded = {(m.name, m.kind, m.unit, *m.labels) for m in METRICS}
    assert declared(yaml.safe_load(METRICS_CONFIG.read_text())["model_metrics"]) == coded
    assert set(documented()) == coded


def test_torchserves_own_metrics_are_declared_as_it_ships_them() -> None:
    import ts

    shipped = yaml.safe_load((Path(ts.__file__).parent / "configs" / "metrics.yaml").read_text())
    assert yaml.safe_load(METRICS_CONFIG.read_text())["ts_metrics"] == shipped["ts_metrics"]


def test_the_server_reads_the_declarations() -> None:
    assert f"metrics_config={METRICS_CONFIG}\n" in properties(ServerOptions(), Path("/s"), 9000)
    config = (PROJECT / "deploy" / "config.properties").read_text()
    assert (PROJECT / re.findall(r"^metrics_config=(.+)$", config, re.MULTILINE)[0]).samefile(METRICS_CONFIG)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was written to the worker's output."""
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records if "[METRICS]" in record.getMessage()]


@pytest.mark.parametrize("config", [METRICS_CONFIG, None], ids=["declared", "undeclared"])
def test_every_line_is_one_that_torchserve_reads(
    observed: Service,
    config: Path | None,
    tmp_path: Path,
    lines: Callable[[], list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    if config is None:
        config = tmp_path / "metrics.yaml"
        config.write_text("model_metrics: {gauge: [{name: HandlerTime, unit: ms, dimensions: [ModelName]}]}")
    cache = MetricsCacheYamlImpl(str(config))
    cache.initialize_cache()
    writers = cached_metrics(cache, METRICS)
    assert ("metrics_config does not declare" in caplog.text) == (config != METRICS_CONFIG)
    observed.answer([sent({"data": PNG, **SMALL, "crosscheck": "captum"}, explain=True)], ["a"])
    write(writers, [model_sample(observed.served), *batch_samples(notebook.batch, notebook.seconds, observed.served)])
    write(writers, memory_samples(torch.device("cpu"), ""))
    write(writers, [PREDICTIONS(1, "n,1", "a: b|c#d, e")])
    written = lines()
    assert "|#synset:n_1,label:a_ b_c_d_ e|#" in written[-1]
    assert len(written) > 15
    for line in written:
        match = LINE.fullmatch(line)
        assert match, line
        labels = match[4].split(",") if match[4] else []
        assert all(LABEL.fullmatch(label) for label in labels), line
        metric = next(m for m in METRICS if m.name == match[1])
        assert [label.partition(":")[0] for label in labels] == list(metric.labels)
        assert match[5] == metric.kind.upper()


def test_the_gpus_memory_is_the_whole_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (10, 100))
    monkeypatch.setattr(psutil.Process, "memory_info", lambda _: SimpleNamespace(rss=30, vms=4000))
    assert totals(memory_samples(torch.device("cuda", 1), "9000")) == {
        ("zfnet_worker_resident_memory_bytes", "9000"): 30,
        ("zfnet_device_memory_bytes", "cuda:1"): 100,
        ("zfnet_device_memory_used_bytes", "cuda:1"): 90,
    }


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (
            ["worker.py", "--sock-type", "unix", "--sock-name", "/run/x/.ts.sock.9003", "--metrics-config", "m.yaml"],
            "9003",
        ),
        (["worker.py", "--sock-type", "tcp", "--port", "9001"], "9001"),
        (["pytest"], ""),
    ],
)
def test_workers_are_told_apart_by_torchserves_number(arguments: list[str], name: str) -> None:
    assert worker_name(arguments) == name
