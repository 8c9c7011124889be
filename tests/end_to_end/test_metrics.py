"""What Prometheus scrapes from the real server."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx

from zfnet_explainer.torchserve.activity import activity
from zfnet_explainer.torchserve.server import RunningServer

from ..needs import needs
from ..samples import encoded, noise
from ..waiting import wait_for
from .scraping import grown, scraped

LASTING = {"methods": "occlusion", "stride": "6", "images": "false"}  # 1,089 squares: some tenths of a second at least
ASKED = {"window": "112", "stride": "112", "features": "2", "crosscheck": "captum"}


def test_requests_of_every_kind_are_counted(server: RunningServer, client: httpx.Client) -> None:
    before, picture = scraped(server), {"data": encoded(noise())}
    assert client.post("/predictions/zfnet", files=picture).status_code == 200
    assert client.post("/explanations/zfnet", files=picture, data=ASKED).status_code == 200
    assert client.post("/explanations/zfnet", content=b"nothing").status_code == 415
    assert client.get("/explanations/zfnet", headers={"accept": "text/html"}).status_code == 200
    requests = 'zfnet_requests_total{endpoint="%s",protocol="%s",methods="%s",status="%s"'
    for labels in (
        ("predict", "plain", "none", "200"),
        ("explain", "plain", "deconv+occlusion", "200"),
        ("explain", "unread", "none", "415"),
        ("page", "page", "none", "200"),
    ):
        assert grown(server, before, requests % labels) == 1
    assert grown(server, before, 'zfnet_errors_total{endpoint="explain",code="unsupported_image"') == 1
    assert grown(server, before, "zfnet_occlusion_positions_total") == 4
    assert grown(server, before, "zfnet_occlusion_drop_ratio_count") == 1
    assert grown(server, before, "zfnet_prediction_confidence_ratio_count") == 2
    assert grown(server, before, "zfnet_batch_size_requests_count") == 4
    assert grown(server, before, 'zfnet_crosschecks_total{method="deconv"') == 1
    for stage in ("decode", "predict", "deconv", "occlusion", "crosscheck", "encode"):
        assert grown(server, before, f'zfnet_stage_duration_seconds_sum{{endpoint="explain",stage="{stage}"') > 0
    now = scraped(server)
    [resident] = [value for series, value in now.items() if series.startswith("zfnet_worker_resident_memory_bytes{")]
    assert resident > 100 * 2**20
    assert [value for series, value in now.items() if series.startswith("zfnet_model_info")] == [1]
    assert not [series for series, value in now.items() if "disagreements" in series and value]
    assert "zfnet_requests_total" not in (server.folder.logs / "ts_log.log").read_text(), "they would fill it"
    assert "MODEL_LOG" not in (server.folder.logs / "java.log").read_text(), "a file that never rolls over"


def test_what_a_worker_has_in_hand_is_told(server: RunningServer, client: httpx.Client) -> None:
    before = activity(server)
    assert before.unanswered == 0
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(client.post, "/explanations/zfnet", files={"data": encoded(noise())}, data=LASTING)
        wait_for(lambda: activity(server).in_progress == 1, "nothing is in hand")
        assert answer.result().status_code == 200
    # TorchServe reads a worker's output a moment after its answer.
    wait_for(lambda: not activity(server).in_progress, "something is still in hand")
    assert activity(server) == replace(before, asked=before.asked + 1, answered=before.answered + 1)


@needs("promtool")
def test_promtool_has_nothing_to_say_of_ours(server: RunningServer) -> None:
    text = httpx.get(f"{server.metrics_url}/metrics", trust_env=False).content
    found = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert b"zfnet" not in found.stdout + found.stderr
