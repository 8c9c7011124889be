"""`zfnet-explainer explain`: pictures in, explanations out, here or through a server."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from ..atomic import write_whole
from ..pictures.files import pictures_under
from ..printing import tell
from ..torchserve.archive import MODEL
from ..torchserve.config import OPTIONS
from ..torchserve.devices import Device
from ..wire.accept import MEDIA_TYPES
from .asking import Aborted, Ask, Options, answer_to, check_options, ending, reason
from .bulk import Shard, Task, check_outside, planned
from .claim import Claim, Sources
from .paths import WEIGHTS, writable
from .remote import PASSING, check_url, remote

NAMES = ", ".join(name.replace("-", "_") for name in OPTIONS)
# Options and pictures that may be asked about before -> what explains a picture, and its weights' hash if it is known.
Way = Callable[[Options, Sequence[Path]], AbstractContextManager[tuple[Ask, str | None]]]
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
    model: Annotated[
        str | None, typer.Option(help=f"The model's name on that server. Default: {MODEL}.", show_default=False)
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="That server's inference key, or the gateway's token. Default: ZFNET_TOKEN.")
    ] = None,
    cacert: Annotated[
        Path | None, typer.Option(help="PEM file of the CA that signed that server's certificate, if not a public one.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help=f"Weights to compute with here. Default: {WEIGHTS}.", show_default=False)
    ] = None,
    device: Annotated[Device | None, typer.Option(help="Where to compute here. Default: auto, the GPU if any.")] = None,
) -> None:
    """Explain pictures: a file for each in OUT, in the format that `-o format=` asks for (png by default).

    What OUT has already is left as it is, so that a run which was killed goes on where it was. Folders that are
    explained one after the other need an OUT each.

    The exit code is 65 where pictures were refused, which another run would not change, 64 where an option is and 77
    where the token is, whatever the picture, and 1 where the server failed on some, is not there or has no such model,
    or OUT is full.
    """
    answering = _way(url, model, token, cacert, weights, device)
    part = Shard.parse(shard)
    check_outside(out, pictures)
    console = Console(stderr=True)
    with ending():
        options = _options(option or [])
        there, todo = _parted(planned(found_pictures(pictures), out, options["format"], part))
        claim = Claim(out, options, Sources.of(pictures))
        claim.check(task.picture for task in there)
        if todo:
            writable(out)
        # Pictures that are explained can be read: they come first. With nothing to do there is nothing to ask.
        probes = [task.picture for task in (*there, *todo)] if todo else []
        with answering(options, probes) as (ask, weights_sha256):
            claim.weights_sha256 = weights_sha256
            claim.check()
            statuses = _explain_all(todo, ask, claim, console)
    where = f", in {out}/" if there or 200 in statuses else ""
    already = f"; {len(there)} were there" if there else ""
    tell(console, f"{statuses.count(200)} of {len(todo)} pictures explained{where}{already}")
    _end_with(statuses)


def found_pictures(paths: list[Path]) -> list[tuple[Path, Path]]:
    """(picture, its path below the argument it came from). Raises typer.BadParameter where there is none."""
    try:
        found = list(pictures_under(paths))
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    if not found:
        raise typer.BadParameter(f"there are no pictures in {', '.join(map(str, paths))}")
    return found


def _way(
    url: str | None, model: str | None, token: str | None, cacert: Path | None, weights: Path | None,
    device: Device | None,
) -> Way:  # fmt: skip
    """Through the server at an address, or here.

    Raises typer.BadParameter for an address that is none, and for options of the other way.
    """
    if url is None:
        there = {"--model": model, "--token": token, "--cacert": cacert}
        _check_left_out(there, "of the server that --url names: name it")
        return partial(_local, weights or WEIGHTS, device or Device.AUTO)
    check_url(url)
    _check_left_out({"--weights": weights, "--device": device}, "for computing here: leave --url out")
    return partial(remote, url, model or MODEL, token or os.environ.get("ZFNET_TOKEN") or None, cacert)


def _check_left_out(options: Mapping[str, object], way: str) -> None:
    if given := [name for name, value in options.items() if value is not None]:
        raise typer.BadParameter(f"{given[0]} is {way}, or leave {given[0]} out")


def _end_with(statuses: Sequence[int]) -> None:
    """Raise typer.Exit where pictures were refused or the server failed on some."""
    refused = [status for status in statuses if status != 200]
    if any(status >= 500 or status in PASSING for status in refused):
        raise typer.Exit(1)
    if refused:
        raise typer.Exit(os.EX_DATAERR)


def _parted(tasks: Iterable[Task]) -> tuple[list[Task], list[Task]]:
    """Those that are done, and those that are left."""
    there: list[Task] = []
    todo: list[Task] = []
    for task in tasks:
        (there if task.done else todo).append(task)
    return there, todo


def _explain_all(todo: Sequence[Task], ask: Ask, claim: Claim, console: Console) -> list[int]:
    """Write each explanation as it comes, and say why one does not; the statuses."""
    statuses: list[int] = []
    with Progress(console=console) as progress:
        for task in progress.track(todo, description="explaining"):
            status, body = _explained(task, ask, claim)
            statuses.append(status)
            if status != 200:
                tell(console, f"{task.picture}: {status} {reason(body)}")
            if not console.is_terminal and len(statuses) % SIGN_OF_LIFE == 0:
                console.print(f"{len(statuses)} of {len(todo)} pictures asked")
    return statuses


def _explained(task: Task, ask: Ask, claim: Claim) -> tuple[int, bytes]:
    """Status and body for one picture; with 200 the explanation is in its file.

    Raises Aborted, or typer.BadParameter where OUT's files are others'.
    """
    status, body = answer_to(task.picture, ask)
    if status == 200:
        return _kept(body, task, claim)
    if not claim.taken:  # options that were good for one picture are good for all
        check_options(status, body)
    return status, body


def _kept(body: bytes, task: Task, claim: Claim) -> tuple[int, bytes]:
    """The answer once it is written; a refusal where the picture's name leaves no room for its explanation's."""
    try:
        claim.take()
        write_whole(task.target, body)
        return 200, body
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return 400, b"its name leaves no room for the ending of its explanation's: shorten it"
        raise Aborted(
            f"{claim.out} takes no more files ({error.strerror}: {task.target}): what is there is whole; "
            "once there is room, this command goes on where it was"
        ) from error


def _options(pairs: Sequence[str]) -> Options:
    """name=value each, png where no format is among them. Raises typer.BadParameter, Aborted for no format of ours."""
    options: Options = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise typer.BadParameter(f"--option {pair!r} is not name=value")
        if name == "data":
            raise typer.BadParameter(f"--option {pair!r}: `data` is the picture itself, which is sent along")
        if name in options:
            raise typer.BadParameter(f"--option {name} is given twice: {options[name]!r} and {value!r}")
        options[name] = value
    ending = options.get("format", "png").lower()  # the files' too, before a server has checked it
    if ending not in MEDIA_TYPES:
        offered = ", ".join(MEDIA_TYPES)
        raise Aborted(f"--option format is one of {offered}, not {options['format']!r}", os.EX_USAGE)
    return options | {"format": ending}


@contextmanager
def _local(weights: Path, device: Device, options: Options, _: Sequence[Path]) -> Iterator[tuple[Ask, str | None]]:
    """Computed here; also the weights' hash, for which no picture need be asked about."""
    from .local import asked_here, local_service  # imports torch, which a client of a server does not need

    service = local_service(weights, device)
    yield asked_here(service, options), service.served.record.weights_sha256
