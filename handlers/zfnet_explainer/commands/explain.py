"""`zfnet-explainer explain`: pictures in, explanations out, here or through a server."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from ..atomic import write_whole
from ..pictures.files import pictures_under
from ..torchserve.config import OPTIONS
from ..torchserve.devices import Device
from ..wire.accept import MEDIA_TYPES
from .asking import Aborted, Ask, Options, answer_to, check_options, reason
from .bulk import Shard, Task, check_claim, check_outside, claim, claimed, planned
from .device import Where
from .paths import WEIGHTS, writable
from .remote import BUSY, check_url, remote

NAMES = ", ".join(name.replace("-", "_") for name in OPTIONS)
SIGN_OF_LIFE = 100  # pictures between two lines where there is no terminal for a bar


def explain(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for the explanations, one file a picture.")] = Path("explanations"),
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help=f"An option of the API as name=value: {NAMES}. Repeat for more."),
    ] = None,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Explain part I of N alone, I from 0; each picture is in one part.")
    ] = "0/1",
    url: Annotated[
        str | None, typer.Option(help="Ask this server, such as http://127.0.0.1:8080, instead of computing here.")
    ] = None,
    model: Annotated[str, typer.Option(help="The model's name on that server.")] = "zfnet",
    token: Annotated[
        str | None, typer.Option(envvar="ZFNET_TOKEN", help="That server's inference key, or the gateway's token.")
    ] = None,
    cacert: Annotated[
        Path | None, typer.Option(help="PEM file of the CA that signed that server's certificate, if not a public one.")
    ] = None,
    weights: Annotated[Path, typer.Option(help="Weights to compute with here.")] = WEIGHTS,
    device: Where = Device.AUTO,
) -> None:
    """Explain pictures: a file for each in OUT, in the format that `-o format=` asks for (png by default).

    What OUT has already is left as it is, so that a run which was killed goes on where it was. The exit code is
    65 where pictures were refused, which another run would not change, 64 where an option is and 77 where the token
    is, whatever the picture, and 1 where the server failed on some, is not there or has no such model, or OUT is full.
    """
    console = Console(stderr=True, soft_wrap=True)
    options = _options(option or [])
    part = Shard.parse(shard)
    if url:
        check_url(url)
    elif cacert:
        raise typer.BadParameter("--cacert is of the server that --url names")
    check_outside(out, pictures)
    tasks = list(planned(found_pictures(pictures), out, options["format"], part))
    todo = [task for task in tasks if not task.done]
    check_claim(out, {"options": options})
    if todo:
        writable(out)
    # Pictures that are explained can be read: they come first. With nothing to do there is nothing to ask.
    probes = [task.picture for task in sorted(tasks, key=lambda task: not task.done)] if todo else []
    answering = remote(url, model, token, cacert, options, probes) if url else _local(weights, device, options)
    try:
        with answering as (ask, weights_sha256):
            made_with = {"options": options, "weights_sha256": weights_sha256}
            check_claim(out, made_with)
            statuses = _explain_all(todo, ask, out, made_with, console)
    except Aborted as error:
        console.print(Text(str(error)))
        raise typer.Exit(error.exit_code) from error
    there = f"; {len(tasks) - len(todo)} were there" if len(todo) < len(tasks) else ""
    console.print(Text(f"{statuses.count(200)} of {len(todo)} pictures explained, in {out}/{there}"))
    if refused := [status for status in statuses if status != 200]:
        failed = any(status >= 500 or status in BUSY for status in refused)
        raise typer.Exit(1 if failed else os.EX_DATAERR)


def found_pictures(paths: list[Path]) -> list[tuple[Path, Path]]:
    """(picture, its path below the argument it came from). Raises typer.BadParameter where there is none."""
    try:
        found = list(pictures_under(paths))
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    if not found:
        raise typer.BadParameter(f"there are no pictures in {', '.join(map(str, paths))}")
    return found


def _explain_all(
    todo: Sequence[Task], ask: Ask, out: Path, made_with: Mapping[str, object], console: Console
) -> list[int]:
    """Write each explanation as it comes, and say why one does not; the statuses."""
    statuses: list[int] = []
    with Progress(console=console) as progress:
        for task in progress.track(todo, description="explaining"):
            status, body = answer_to(task.picture, ask)
            statuses.append(status)
            if status == 200:
                _keep(body, task, out, made_with)
            else:
                if not claimed(out):  # options that were good for one picture are good for all
                    check_options(status, body)
                console.print(Text(f"{task.picture}: {status} {reason(body)}"))
            if not console.is_terminal and len(statuses) % SIGN_OF_LIFE == 0:
                console.print(f"{len(statuses)} of {len(todo)} pictures asked")
    return statuses


def _keep(body: bytes, task: Task, out: Path, made_with: Mapping[str, object]) -> None:
    try:
        claim(out, made_with)  # not before there is something to keep: a mistyped option claims no folder
        write_whole(task.target, body)
    except OSError as error:
        raise Aborted(
            f"{out} takes no more files ({error.strerror}: {task.target}): what is there is whole; "
            "once there is room, this command goes on where it was"
        ) from error


def _options(pairs: Sequence[str]) -> Options:
    """name=value each, png where no format is among them. Raises typer.BadParameter."""
    options: Options = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise typer.BadParameter(f"--option {pair!r} is not name=value")
        if name in options:
            raise typer.BadParameter(f"--option {name} is given twice: {options[name]!r} and {value!r}")
        options[name] = value
    ending = options.get("format", "png").lower()  # the files' too, before a server has checked it
    if ending not in MEDIA_TYPES:
        raise typer.BadParameter(f"--option format is one of {', '.join(MEDIA_TYPES)}, not {options['format']!r}")
    return options | {"format": ending}


@contextmanager
def _local(weights: Path, device: Device, options: Options) -> Iterator[tuple[Ask, str]]:
    """Computed here; also the weights' hash. What is returned raises Aborted where the device has failed."""
    from .local import ask, local_service  # imports torch, which a client of a server does not need

    service = local_service(weights, device)

    def here(picture: bytes) -> tuple[int, bytes]:
        answer = ask(service, picture, options)
        if service.device_lost:
            raise Aborted(
                f"{service.served.device} has failed, and computes nothing more in this process: "
                "give the same command again: it goes on where it was"
            )
        return answer.status.value, answer.body

    yield here, service.served.record.weights_sha256
