"""What a measurement was taken on: the processor, and how fast it multiplies matrices."""

import platform
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ...cores import usable_cores
from ...net.device import compute_in_float32, keeps_float32, seconds

CPU = torch.device("cpu")
MATRIX = {"cpu": 2048, "cuda": 8192}  # rows and columns, by device: enough that a start of the work does not count
CLEAR_REFS = Path("/proc/self/clear_refs")  # Linux's


@dataclass(frozen=True)
class Machine:
    """A device, a GPU's driver, and what it reaches: `peak_gflops` by precision, of a large matrix product."""

    device: str
    driver: str | None
    threads: int
    system: str
    python: str
    torch: str
    peak_gflops: dict[str, float]

    def __str__(self) -> str:
        driver = f"driver {self.driver}, " if self.driver else ""
        peaks = ", ".join(f"{name} {peak:,.0f} GFLOP/s" for name, peak in self.peak_gflops.items())
        software = f"{driver}Python {self.python}, torch {self.torch}"
        return f"{self.device}, {self.threads} threads, {software}" + (f"; matrix product: {peaks}" if peaks else "")


def describe(device: torch.device, precisions: tuple[str, ...]) -> Machine:
    """Name the device and measure its matrix product in each precision; the log says where float32 is rounded."""
    compute_in_float32()
    keeps_float32(device)
    return Machine(
        device=torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{processor()}, {usable_cores()} cores",
        driver=_driver() if device.type == "cuda" else None,
        threads=torch.get_num_threads(),
        system=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        peak_gflops={name: peak(device, getattr(torch, name)) for name in precisions},
    )


def peak(device: torch.device, dtype: torch.dtype) -> float:
    """GFLOP/s of a product of two large square matrices: the fastest fifth of 25 runs, as a median."""
    side = MATRIX[device.type]
    generator = torch.Generator(device).manual_seed(0)  # numbers that differ: a card multiplies constants faster
    a, b = (torch.randn(side, side, generator=generator, device=device, dtype=dtype) for _ in range(2))
    fastest = sorted(seconds(lambda: a @ b, device) for _ in range(25))[:5]
    return 2 * side**3 / statistics.median(fastest) / 1e9


def peak_memory(work: Callable[[], object], device: torch.device) -> int | None:
    """Bytes by which the memory in use rose above what it was before, at its highest, while some work ran.

    On a CPU the process's resident memory, as Linux counts it (elsewhere None); on a GPU what torch holds.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    if not CLEAR_REFS.exists():
        return None
    CLEAR_REFS.write_text("5")
    before = _resident()
    work()
    return _resident() - before


def _resident() -> int:
    """The process's highest resident memory since it was last reset, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise OSError("this system does not say how much memory a process used: /proc/self/status has no VmHWM")


def _driver() -> str:
    """The driver's version. TorchServe finds GPUs by the same program."""
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()[0]  # noqa: S603


def processor() -> str:
    """The processor's name as Linux knows it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return name or platform.machine()
