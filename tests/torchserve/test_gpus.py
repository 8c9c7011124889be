"""A worker for every GPU: TorchServe hands them out, here on a machine that is said to have three."""

import os
from pathlib import Path

import httpx
import pytest

from zfnet_explainer.commands.serve import introduce
from zfnet_explainer.torchserve.archive import WorkerOptions, model_config
from zfnet_explainer.torchserve.config import ServerOptions
from zfnet_explainer.torchserve.devices import Device
from zfnet_explainer.torchserve.packed import read_packed
from zfnet_explainer.torchserve.server import running_server

from ..waiting import PATIENCE_S, wait_for
from .archives import packed

pytestmark = pytest.mark.slow

GPUS = 3
SAYS_ITS_GPU = b"""
class SaysItsGpu:
    def initialize(self, context):
        self.gpu = str(context.system_properties["gpu_id"])

    def handle(self, rows, context):
        return [self.gpu] * len(rows)
"""


def test_each_worker_has_a_gpu_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\nprintf 'index\\n" + "".join(f"{i}\\n" for i in range(GPUS)) + "'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(smi.parent), os.environ["PATH"]]))
    archive = packed(tmp_path / "gpus.mar", SAYS_ITS_GPU, model_config(WorkerOptions(workers=GPUS, device=Device.CUDA)))
    answers: set[str] = set()
    with running_server(archive, tmp_path / "run", ServerOptions.on_free_ports(gpus=GPUS)) as server:
        url = f"{server.inference_url}/predictions/zfnet"

        def all_have_answered() -> bool:
            answers.add(httpx.post(url, content=b"x", timeout=PATIENCE_S, trust_env=False).text)
            return len(answers) >= GPUS

        introduce(server, 1, read_packed(archive).workers)
        introduce(server, 1, 1)
        wait_for(all_have_answered, f"these alone have answered: {answers}")
    assert answers == {str(gpu) for gpu in range(GPUS)}
    said = capsys.readouterr().out
    assert [line.rpartition(", ")[2] for line in said.splitlines() if line.startswith("ready")] == [
        f"on {GPUS} of {GPUS} GPU(s)",
        f"on 1 of {GPUS} GPU(s)",
    ]
