"""A net of one's own with ImageNet's preprocessing, packaged and served: as torch and torchvision compute it."""

import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

from zfnet_explainer.net.own import save_checkpoint
from zfnet_explainer.net.record import ClassName, Preprocessing
from zfnet_explainer.net.torchvision_nets import PREPROCESSING
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.torchserve.config import ServerOptions

from .. import document
from ..chains import seeded
from ..samples import SAMPLE
from ..torchserve.running import serve, started
from ..waiting import PATIENCE_S
from .scraping import grown, scraped

pytestmark = pytest.mark.slow

FRIEND = "https://dashboards.example.com"
CLASSES = [ClassName(f"n{number:02}", f'猫 قطة "{number}" é') for number in range(12)]
PIPELINE = Compose([Resize(256), CenterCrop(224), ToTensor(), Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
CHEAP = {"window": "112", "stride": "112", "features": "2"}


@pytest.fixture(scope="module")
def net() -> nn.Sequential:
    """AlexNet's order of layers with few maps, and batch normalisation as VGG may have it."""
    features = [
        *(nn.Conv2d(3, 8, 11, stride=4, padding=2), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(8, 12, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(12, 8, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)),
    ]
    classifier = nn.Dropout(), nn.Linear(8 * 6 * 6, 32), nn.ReLU(inplace=True), nn.Linear(32, len(CLASSES))
    parts = nn.Sequential(*features), nn.AdaptiveAvgPool2d((6, 6)), nn.Flatten(), nn.Sequential(*classifier)
    return seeded(nn.Sequential(*parts), 0).eval()


@pytest.fixture(scope="module")
def server(net: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerOptions]:
    """As a person starts it: the command, which builds the archive. Pages of one other origin may ask."""
    folder, options = tmp_path_factory.mktemp("imported"), ServerOptions.on_free_ports()
    weights = folder / "my-net.safetensors"
    save_checkpoint(net, weights, classes=CLASSES, preprocessing=PREPROCESSING, full=True)
    asked = ("--weights", weights, "--workers", "2", "--allow-origin", FRIEND, "--settle-seconds", "1")
    with started(serve(folder, options, *asked), until="Ctrl-C"):
        yield options


@pytest.fixture(scope="module")
def client(server: ServerOptions) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.inference_url, timeout=300, trust_env=False) as client:
        yield client


def explain(client: httpx.Client, **options: str) -> httpx.Response:
    answer = client.post("/explanations/my-net", files={"data": SAMPLE.read_bytes()}, data=CHEAP | options)
    assert answer.status_code == 200, answer.text
    return answer


def test_it_is_counted_by_its_label(client: httpx.Client, server: ServerOptions) -> None:
    """The first test here: another one's requests may be counted a moment after their answers."""
    before = scraped(server)
    answer = client.put("/predictions/my-net", content=SAMPLE.read_bytes())
    first = answer.json()["predictions"][0]
    label = first["label"].replace('"', r"\"")
    assert grown(server, before, f'zfnet_predictions_total{{synset="{first["synset"]}",label="{label}"') == 1


def test_it_runs_as_the_command_was_asked_to(client: httpx.Client, server: ServerOptions) -> None:
    [model] = httpx.get(f"{server.management_url}/models/my-net", timeout=PATIENCE_S, trust_env=False).json()
    assert [worker["status"] for worker in model["workers"]] == ["READY", "READY"]
    assert (model["minWorkers"], model["maxWorkers"], model["batchSize"]) == (2, 2, 1)
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "PUT"}
    told = client.options("/predictions/my-net", headers=asked).headers
    assert told["access-control-allow-origin"] == FRIEND
    assert told["access-control-allow-methods"] == "GET, POST", "a browser sends that page's PUT to no port"
    assert "inference-header-content-length" in told["access-control-allow-headers"]
    for origin, status in ((FRIEND, 200), ("https://elsewhere.example", 403)):
        headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        answer = client.put("/predictions/my-net", content=SAMPLE.read_bytes(), headers=headers)
        assert answer.status_code == status, answer.text


@torch.inference_mode()
def test_it_is_served_under_its_own_name(client: httpx.Client, net: nn.Sequential) -> None:
    answer = client.put("/predictions/my-net", content=SAMPLE.read_bytes(), headers={"X-Explain-Top-K": "12"})
    document.check(document.response("/predictions/zfnet", 200)["content"]["application/json"]["schema"], answer.json())
    assert answer.json()["model"]["name"] == "my-net"
    assert answer.json()["model"]["validation"] is None
    found = {p["class_index"]: p["probability"] for p in answer.json()["predictions"]}
    expected = net(PIPELINE(Image.open(SAMPLE).convert("RGB"))[None])[0].softmax(0).numpy()
    assert expected.max() - expected.min() > 0.01
    np.testing.assert_allclose([found[i] for i in range(12)], expected, rtol=0, atol=1e-5)


def test_it_is_explained_in_every_format(client: httpx.Client) -> None:
    answer = explain(client).json()
    image, crop = answer["image"], answer["image"]["crop"]
    assert crop["height"] == pytest.approx(0.875 * min(image["width"], image["height"]), abs=2)
    assert image["preprocessing"]["crop"] == 0.875
    assert [layer["layer"] for layer in answer["deconv"]["layers"]] == [3]
    npz = np.load(io.BytesIO(explain(client, format="npz").content), allow_pickle=False)
    assert np.array_equal(
        npz["image.pixels"], decode(SAMPLE.read_bytes(), Preprocessing(**image["preprocessing"])).pixels
    )
    assert Image.open(io.BytesIO(explain(client, format="png").content)).format == "PNG"
    html = explain(client, format="html").text
    assert "my-net" in html
    assert f"猫 قطة &#34;{answer['target']['class_index']}&#34; é" in html


def test_captum_agrees(client: httpx.Client) -> None:
    checked = explain(client, crosscheck="captum", layer="1,3").json()["crosscheck"]
    assert checked["deconv"]["agrees"]
    assert checked["occlusion"]["agrees"]


def test_a_layer_that_only_other_nets_have_is_refused_with_the_bound(client: httpx.Client) -> None:
    answer = client.post("/explanations/my-net", files={"data": SAMPLE.read_bytes()}, data={"layer": "4"})
    assert answer.status_code == 400
    assert "one or several of the layers 1 to 3" in answer.json()["error"]["message"]


def test_a_class_in_any_script_is_asked_for_by_its_label(client: httpx.Client) -> None:
    asked = {"target": CLASSES[7].label, "methods": "occlusion", "window": "224", "stride": "224"}
    answer = client.post("/explanations/my-net", files={"data": SAMPLE.read_bytes()}, data=asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["target"]["label"] == CLASSES[7].label
