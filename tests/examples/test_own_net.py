"""The page about nets of one's own: its Python is run, and what it wrote is explained as the server would."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from zfnet_explainer.commands.local import ask, local_service
from zfnet_explainer.pictures.decode import decode
from zfnet_explainer.torchserve.archive import RECORD, WEIGHTS, WorkerOptions, archive_members
from zfnet_explainer.torchserve.devices import Device

from ..samples import encoded, noise

PAGE = Path(__file__).parents[2] / "docs" / "own-net.md"


def test_the_example_builds_saves_and_explains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    picture = encoded(noise(90, 150))
    (tmp_path / "picture.jpg").write_bytes(picture)
    exec(compile(example, str(PAGE), "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.startswith("Prediction(rank=1, ")

    weights = tmp_path / "my" / "animals.safetensors"
    service = local_service(weights, Device.CPU)
    answer = json.loads(ask(service, picture, {"target": "dog", "layer": "1,2"}).body)
    assert answer["model"]["name"] == "animals"
    assert answer["model"]["validation"] is None
    assert {p["label"] for p in answer["predictions"]} == {"domestic cat", "dog", "tawny owl"}
    assert [layer["maps"] for layer in answer["deconv"]["layers"]] == [16, 32]
    assert answer["image"]["crop"] == {"top": 5, "left": 35, "height": 79, "width": 79}
    seen = decode(picture, service.served.record.preprocessing)
    assert seen.pixels.shape == (64, 64, 3)
    for drawn in ("png", "html", "npz"):
        assert ask(service, picture, {"format": drawn}).status == 200
    members = archive_members(weights, WorkerOptions())
    assert members[WEIGHTS] == weights.read_bytes()
    assert json.loads(members[RECORD])["layers"][0]["kind"] == "Conv2d"
    assert np.isfinite(answer["occlusion"]["target_probability"]).all()
