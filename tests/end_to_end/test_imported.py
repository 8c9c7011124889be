"""torchvision's AlexNet with random weights, imported, packaged and served: as torchvision itself computes it."""

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor
from typer.testing import CliRunner

from zfnet_explainer.commands.main import app
from zfnet_explainer.explainer import Explainer
from zfnet_explainer.net.checkpoint import Preprocessing, load
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.torchserve.archive import WorkerOptions, ensure_archive, model_of
from zfnet_explainer.torchserve.config import ServerOptions
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.torchserve.server import running_server

from .. import document
from ..samples import SAMPLE, encoded, noise

CLASSES = {f"n{number:02}": f"thing {number}" for number in range(12)}
PIPELINE = Compose([Resize(256), CenterCrop(224), ToTensor(), Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
CHEAP = {"window": "112", "stride": "112", "features": "2"}
SIZES = [(224, 224), (260, 511), (1, 1), (40, 700), (99, 64)]


@pytest.fixture(scope="module")
def alexnet() -> nn.Module:
    with torch.device("meta"):
        net: nn.Module = torchvision.models.alexnet(num_classes=len(CLASSES))
    net.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():  # He's deviation, drawn evenly, which takes a third of the time
        spread = (6 / parameter[0].numel()) ** 0.5 if parameter.ndim > 1 else 0.1
        parameter.data.uniform_(-spread, spread, generator=generator)
    return net.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """For a gigabyte that is not left behind."""
    folder = tmp_path_factory.mktemp("imported")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def imported(alexnet: nn.Module, folder: Path) -> Path:
    save_file(alexnet.state_dict(), folder / "state.safetensors")
    (folder / "labels.json").write_text(json.dumps(CLASSES))
    out = folder / "mine" / "my-alexnet.safetensors"
    arguments = ["import", "alexnet", folder / "state.safetensors", "--labels", folder / "labels.json", "--out", out]
    result = CliRunner().invoke(app, [*map(str, arguments), "--full"])
    assert result.exit_code == 0, result.output
    assert "alexnet, 12 classes, 5 layers, 2" in result.output
    assert "stored in float32: a logit differs by 0 at most" in result.output
    assert "accuracy not measured" in result.output
    return out


def expected(alexnet: nn.Module, picture: bytes) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    x = PIPELINE(Image.open(io.BytesIO(picture)).convert("RGB"))
    probabilities: np.ndarray[tuple[int], np.dtype[np.float32]] = alexnet(x[None])[0].softmax(0).numpy()
    return probabilities


def test_probabilities_are_torchvisions(alexnet: nn.Module, imported: Path) -> None:
    explainer = Explainer(load(imported), torch.device("cpu"))
    pictures = [SAMPLE.read_bytes(), *(encoded(noise(*size, seed=i)) for i, size in enumerate(SIZES))]
    grey = io.BytesIO()
    Image.fromarray(noise(300, 290)).convert("L").save(grey, "PNG")
    for picture in [*pictures, grey.getvalue()]:
        pixels = decode(picture, explainer.record.preprocessing).pixels
        found = explainer.probabilities([pixels])[0]
        np.testing.assert_allclose(found, expected(alexnet, picture), rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def client(imported: Path, folder: Path) -> Iterator[httpx.Client]:
    ensure_archive(folder / "my.mar", imported, WorkerOptions(device=Device.CPU))
    options = ServerOptions(model=model_of(folder / "my.mar"))
    with (
        running_server(folder / "my.mar", folder / "run", options) as running,
        httpx.Client(base_url=running.inference_url, timeout=300, trust_env=False) as client,
    ):
        yield client


def explain(client: httpx.Client, **options: str) -> httpx.Response:
    answer = client.post("/explanations/my-alexnet", files={"data": SAMPLE.read_bytes()}, data=CHEAP | options)
    assert answer.status_code == 200, answer.text
    return answer


def test_it_is_served_under_its_own_name(client: httpx.Client, alexnet: nn.Module) -> None:
    answer = client.put("/predictions/my-alexnet", content=SAMPLE.read_bytes(), headers={"X-Explain-Top-K": "12"})
    document.check(document.response("/predictions/zfnet", 200)["content"]["application/json"]["schema"], answer.json())
    assert answer.json()["model"]["name"] == "my-alexnet"
    assert answer.json()["model"]["validation"] is None
    found = {p["class_index"]: p["probability"] for p in answer.json()["predictions"]}
    np.testing.assert_allclose([found[i] for i in range(12)], expected(alexnet, SAMPLE.read_bytes()), rtol=0, atol=1e-5)


def test_it_is_explained_in_every_format(client: httpx.Client) -> None:
    answer = explain(client, others="3").json()
    image, crop = answer["image"], answer["image"]["crop"]
    assert crop["height"] == pytest.approx(0.875 * min(image["width"], image["height"]), abs=2)
    assert image["preprocessing"]["crop"] == 0.875
    assert [layer["layer"] for layer in answer["deconv"]["layers"]] == [5]
    assert all(not feature["others"] for feature in answer["deconv"]["layers"][0]["features"])
    npz = np.load(io.BytesIO(explain(client, format="npz").content), allow_pickle=False)
    assert np.array_equal(
        npz["image.pixels"], decode(SAMPLE.read_bytes(), Preprocessing(**image["preprocessing"])).pixels
    )
    assert Image.open(io.BytesIO(explain(client, format="png").content)).format == "PNG"
    html = explain(client, format="html").text
    assert "my-alexnet" in html
    assert "thing" in html


def test_captum_agrees(client: httpx.Client) -> None:
    checked = explain(client, crosscheck="captum", layer="1,5").json()["crosscheck"]
    assert checked["deconv"]["agrees"]
    assert checked["occlusion"]["agrees"]
