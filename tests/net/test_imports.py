"""What is imported: every worker waits for it, and every command."""

import subprocess
import sys
from pathlib import Path

WEIGHTS = Path(__file__).parents[2] / "model_store" / "zfnet.safetensors"


def imported(statements: str) -> set[str]:
    """All modules that a fresh process has after these statements."""
    command = [sys.executable, "-c", f"import sys; {statements}; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_pictures_and_the_server_need_no_torch() -> None:
    """It takes seconds to import."""
    found = imported("import zfnet_explainer.pictures.decode, zfnet_explainer.torchserve.server")
    assert {"torch", "matplotlib", "scipy"}.isdisjoint(found)


def test_help_needs_no_torch() -> None:
    assert {"torch", "matplotlib", "scipy", "captum"}.isdisjoint(imported("import zfnet_explainer.commands.main"))


def test_loading_imports_no_compiler() -> None:
    """Torch's reference implementations, which tensors of the meta device are led through, import all of it."""
    loaded = f"import pathlib; from zfnet_explainer.net.checkpoint import load; load(pathlib.Path({str(WEIGHTS)!r}))"
    found = imported(loaded)
    assert "torch" in found
    assert {"torch._dynamo", "torch._inductor", "sympy", "captum", "matplotlib"}.isdisjoint(found)
