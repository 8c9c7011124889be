"""`zfnet-explainer bench`: how fast this machine explains, beside Captum and the plain way."""

from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from ..printing import tell
from ..torchserve.archive import WorkerOptions, archive_members, ensure_archive
from ..torchserve.devices import Device
from ..torchserve.errors import ServingError
from .device import Where, picked
from .failure import failed
from .paths import WEIGHTS, writable
from .tables import Pages, put, shown_at_last

if TYPE_CHECKING:
    import torch

    from ..studies.speed.occlusion import Case
    from ..studies.speed.results import Results


def bench(
    nets: Annotated[str, typer.Option(help="Of zfnet, alexnet and vgg16, separated by commas.")] = "zfnet",
    grids: Annotated[str, typer.Option(help="Sides of the square / its steps, in pixels.")] = "16/8,32/8,64/8",
    precisions: Annotated[str, typer.Option(help="float32, bfloat16, float16.")] = "float32",
    repeats: Annotated[int, typer.Option(min=1, help="Interleaved runs; medians are shown.")] = 3,
    requests: Annotated[bool, typer.Option(help="Also whole requests and starts of servers.")] = True,
    device: Where = Device.AUTO,
    weights: Annotated[Path, typer.Option(help="Weights for the whole requests.")] = WEIGHTS,
    out: Annotated[Path, typer.Option(help="Folder for the numbers, as JSON.")] = Path("results"),
    into: Pages = None,
) -> None:
    """Time occlusion maps, projections and whole requests side by side; minutes on an idle machine."""
    from ..studies.speed import (  # torch takes seconds to import: --help does not wait for it
        machine,
        occlusion,
        results,
    )
    from ..studies.speed.nets import NETS

    console, where = Console(), picked(device)
    asked = _choices(precisions, ("float32", "bfloat16", "float16"), "--precisions")
    names = _choices(nets, NETS, "--nets")
    squares = _grids(grids)
    if requests:
        _check(weights)
    writable(out)
    found = results.Results(machine.describe(where, tuple(asked)), repeats)
    tell(console, f"{found.machine.device}, {found.machine.threads} threads, torch {found.machine.torch}")
    cases = [occlusion.Case(net, *grid, p) for net, grid, p in product(names, squares, asked)]
    try:
        with Progress(console=console) as progress:
            _nets(found, cases, where, progress)
            if requests:
                _requests(found, weights, where, progress)
    except ServingError as error:
        raise failed(f"{error}; --no-requests needs no server") from error
    finally:  # what took minutes to measure is not lost with what fails after it, nor with a reader that has gone
        with shown_at_last(found.tables()):
            saved = found.save(out)
        tell(console, f"numbers: {saved}")
    put(into, found.tables())


def _check(weights: Path) -> None:
    """That there is an archive of them: not after minutes of measuring."""
    try:
        archive_members(weights, WorkerOptions())
    except ServingError as error:
        raise failed(f"{error}; --no-requests needs no weights") from error


def _nets(results: "Results", cases: list["Case"], device: "torch.device", progress: Progress) -> None:
    import torch

    from ..studies.speed import contenders, occlusion, projections
    from ..studies.speed.nets import net

    task = progress.add_task("occlusion maps", total=len(cases))
    for name in dict.fromkeys(case.net for case in cases):
        build = partial(net, name)
        results.projections.append(
            projections.measure(name, contenders.timed(build(), device, torch.float32), results.repeats)
        )
        for case in (case for case in cases if case.net == name):
            progress.update(task, description=f"{name} {case.window}/{case.stride} {case.precision}")
            results.occlusion.append(occlusion.measure(build, case, results.machine, device, results.repeats))
            progress.advance(task)


def _requests(results: "Results", weights: Path, device: "torch.device", progress: Progress) -> None:
    from tempfile import TemporaryDirectory

    from ..studies.speed import requests, start
    from ..torchserve.server import running_server
    from .local import local_service

    task = progress.add_task("whole requests", total=3)
    options = WorkerOptions(device=Device(device.type))
    with TemporaryDirectory() as folder:
        archive = Path(folder, "zfnet.mar")
        ensure_archive(archive, weights, options)
        with running_server(archive, Path(folder, "run"), start.beside(options)) as server:
            service = local_service(weights, Device(device.type))
            for endpoint in ("predictions", "explanations"):
                results.requests.append(requests.measure(service, server.inference_url, endpoint, 4 * results.repeats))
                progress.advance(task)
        results.start.append(start.measure(weights, options, Path(folder), results.repeats))
        progress.advance(task)


def _choices(text: str, known: tuple[str, ...], option: str) -> list[str]:
    chosen = [part.strip() for part in text.split(",")]
    if not set(chosen) <= set(known):
        raise typer.BadParameter(f"{option} {text!r}: choose among {', '.join(known)}")
    return chosen


def _grids(text: str) -> list[tuple[int, int]]:
    """(window, stride) of each."""
    from ..methods.squares import squares
    from ..studies.speed.nets import SIZE

    try:
        grids = [(int(window), int(stride)) for window, stride in (grid.split("/") for grid in text.split(","))]
    except ValueError as error:
        raise typer.BadParameter(f"--grids {text!r}: give windows and strides as in 16/4,32/8") from error
    try:
        for window, stride in grids:
            squares(*SIZE[1:], window, stride)
    except ValueError as error:
        raise typer.BadParameter(f"--grids {text!r}: {error}") from error
    return grids
