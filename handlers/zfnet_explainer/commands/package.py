"""`zfnet-explainer package`: the archive for TorchServe."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..printing import tell
from ..torchserve.archive import WorkerOptions, ensure_archive
from ..torchserve.devices import Device
from ..torchserve.errors import ServingError
from .failure import failed
from .origin import AllowedOrigin
from .paths import WEIGHTS

DEFAULTS = WorkerOptions()


def package(
    weights: Annotated[
        Path, typer.Option(help="The trained weights; beside them lies their record (.json).")
    ] = WEIGHTS,
    out: Annotated[
        Path | None,
        typer.Option(help="The archive to write. Default: model_store/WEIGHTS' NAME.mar.", show_default=False),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Worker processes; each has the model in memory once.")
    ] = DEFAULTS.workers,
    batch_size: Annotated[
        int, typer.Option(min=1, max=64, help="Requests that a worker takes at once, at most.")
    ] = DEFAULTS.batch_size,
    max_batch_delay: Annotated[
        int, typer.Option(min=1, help="Milliseconds that a request waits for others; only with --batch-size over 1.")
    ] = DEFAULTS.max_batch_delay_ms,
    max_response_bytes: Annotated[
        int, typer.Option(min=1, help="Larger answers are refused: keep it below the server's max_response_size.")
    ] = DEFAULTS.max_response_bytes,
    device: Annotated[
        Device, typer.Option(help="Where the workers compute; auto: on the GPU where TorchServe finds one.")
    ] = DEFAULTS.device,
    allow_origin: AllowedOrigin = DEFAULTS.allowed_origin,
) -> None:
    """Build the archive (.mar) that TorchServe loads: handler, code, weights and their record in one file."""
    out = out or Path("model_store", weights.with_suffix(".mar").name)
    _check_out(out, weights)
    options = WorkerOptions(workers, batch_size, max_batch_delay, device, max_response_bytes, allow_origin)
    try:
        built = ensure_archive(out, weights, options)
    except ServingError as error:
        raise failed(error) from error
    size = out.stat().st_size / 2**20
    state = "built" if built else "up to date"
    tell(Console(), f"{out}: {state}, {size:.1f} MiB")


def _check_out(out: Path, weights: Path) -> None:
    """Raise typer.BadParameter where the archive would take the place of something else."""
    if out.is_dir():
        archive = out / weights.with_suffix(".mar").name
        raise typer.BadParameter(f"--out {out} is a folder: name the archive in it, such as {archive}")
    if out.suffix != ".mar":
        raise typer.BadParameter(f"--out {out}: name an archive that ends in .mar")
    if out.resolve() in (weights.resolve(), weights.with_suffix(".json").resolve()):
        raise typer.BadParameter(f"--out {out} would overwrite the weights or their record: name another")
