"""`zfnet-explainer explain`: pictures in, explanations out, here or through a server."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from ..files import pictures_under
from .bulk import Shard, Task, check_outside, claim, planned, write_whole
from .package import WEIGHTS

BUSY = (429, 503)  # what a server or the gateway says for now, with Retry-After
TRIES = 60
WAIT_S = 5
SIGN_OF_LIFE = 100  # pictures between two lines where there is no terminal for a bar

Options = dict[str, str]
Ask = Callable[[bytes], tuple[int, bytes]]  # a picture -> status, body


def explain(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for the explanations, one file a picture.")] = Path("explanations"),
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="An option of the API as name=value, such as layer=4; repeat for more."),
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
    weights: Annotated[Path, typer.Option(help="Weights to compute with here.")] = WEIGHTS,
    device: Annotated[str, typer.Option(help="Where to compute here: auto, cpu or cuda.")] = "auto",
) -> None:
    """Explain pictures: a file for each in OUT, in the format that `-o format=` asks for (png by default).

    What OUT has already is left as it is, so that a run which was killed goes on where it was. The exit code is
    65 where pictures were refused, which another run would not change, and 1 where the server failed on some.
    """
    console = Console(stderr=True)
    options = {"format": "png"} | dict(_pair(text) for text in option or [])
    part = Shard.parse(shard)
    check_outside(out, pictures)
    if not (found := found_pictures(pictures)):
        raise typer.BadParameter(f"there are no pictures in {', '.join(map(str, pictures))}")
    tasks = list(planned(found, out, options["format"], part))
    todo = [task for task in tasks if not task.done]
    answering = _remote(url, model, token, options) if url else _local(weights, device, options)
    with answering as (ask, weights_sha256):
        claim(out, {"options": options, "weights_sha256": weights_sha256})
        statuses = _explain_all(todo, ask, console)
    there = f"; {len(tasks) - len(todo)} were there" if len(todo) < len(tasks) else ""
    console.print(f"{statuses.count(200)} of {len(todo)} pictures explained, in {out}/{there}", markup=False)
    if refused := [status for status in statuses if status != 200]:
        raise typer.Exit(1 if max(refused) >= 500 else os.EX_DATAERR)


def found_pictures(paths: list[Path]) -> list[tuple[Path, Path]]:
    try:
        return list(pictures_under(paths))
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error


def _explain_all(todo: Sequence[Task], ask: Ask, console: Console) -> list[int]:
    """Write each explanation as it comes, and say why one does not; the statuses."""
    statuses: list[int] = []
    with Progress(console=console) as progress:
        for task in progress.track(todo, description="explaining"):
            status, body = _answer(task.picture, ask)
            statuses.append(status)
            if status == 200:
                write_whole(task.target, body)
            else:
                console.print(f"{task.picture}: {status} {body.decode(errors='replace')[:300]}", markup=False)
            if not console.is_terminal and len(statuses) % SIGN_OF_LIFE == 0:
                console.print(f"{len(statuses)} of {len(todo)} pictures asked")
    return statuses


def _answer(picture: Path, ask: Ask) -> tuple[int, bytes]:
    try:
        content = picture.read_bytes()
    except OSError as error:
        return 400, f"it cannot be read: {error.strerror}".encode()
    return ask(content)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--option {text!r} is not name=value")
    return name.strip(), value.strip()


@contextmanager
def _local(weights: Path, device: str, options: Options) -> Iterator[tuple[Ask, str]]:
    """Computed here; also the weights' hash."""
    from .local import ask, local_service  # imports torch, which a client of a server does not need

    service = local_service(weights, device)

    def here(picture: bytes) -> tuple[int, bytes]:
        answer = ask(service, picture, options)
        return answer.status.value, answer.body

    yield here, service.served.record.weights_sha256


@contextmanager
def _remote(url: str, model: str, token: str | None, options: Options) -> Iterator[tuple[Ask, None]]:
    """Asked of a server, whose weights are its own business."""
    import httpx

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(10, read=610)) as client:

        def there(picture: bytes) -> tuple[int, bytes]:
            for _ in range(TRIES):
                try:
                    reply = client.post(f"/explanations/{model}", files={"data": picture}, data=options)
                except httpx.TransportError as error:
                    raise typer.BadParameter(f"no answer from {url} ({error}): is the server running?") from error
                if reply.status_code not in BUSY:
                    break
                time.sleep(int(reply.headers.get("retry-after", WAIT_S)))
            return reply.status_code, reply.content

        yield there, None
