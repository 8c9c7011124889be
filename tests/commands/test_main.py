"""The program as the first process of a container, and its end."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil

from ..needs import first_process
from ..samples import encoded, noise
from ..waiting import wait_for

OPTIONS = ["-o", "methods=deconv", "-o", "features=1", "-o", "format=npz"]


def test_the_first_process_of_a_container_ends_at_sigterm(tmp_path: Path) -> None:
    """As a Job's pod is stopped: without a handler the kernel passes over SIGTERM there, and SIGKILL follows."""
    alone, program = first_process(), Path(sys.executable).with_name("zfnet-explainer")
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    pictures.mkdir()
    content = encoded(noise(8, 8))
    for i in range(2_000):
        (pictures / f"{i}.png").write_bytes(content)
    command = [*alone, str(program), "explain", str(pictures), "--out", str(out), *OPTIONS]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: any(out.glob("*.npz")) or running.poll() is not None, "nothing is explained")
        assert running.poll() is None, running.communicate()[1]
        [first] = psutil.Process(running.pid).children()
        first.terminate()
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 128 + signal.SIGINT
    assert "Traceback" not in errors
