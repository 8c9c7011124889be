"""What reading the shipped net imports: every worker waits for it."""

import subprocess
import sys
from pathlib import Path

WEIGHTS = Path(__file__).parents[2] / "model_store" / "zfnet.safetensors"


def test_loading_imports_no_compiler() -> None:
    """Torch's reference implementations, which tensors of the meta device are led through, import all of it."""
    show = "import sys, pathlib; from zfnet_explainer.net.checkpoint import load; load(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", f"{show}; print(*sys.modules)", str(WEIGHTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    imported = set(done.stdout.split())
    assert "torch" in imported
    assert {"torch._dynamo", "torch._inductor", "sympy", "captum", "matplotlib"}.isdisjoint(imported)
