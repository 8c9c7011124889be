"""`zfnet-explainer explain`: pictures in, explanations out, here or through a server."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from ..files import pictures_under
from .package import WEIGHTS

ENDINGS = {"application/json": ".json", "image/png": ".png", "application/x-npz": ".npz", "text/html": ".html"}

Options = dict[str, str]
Ask = Callable[[bytes, Options], tuple[int, str, bytes]]  # -> status, content type, body


def explain(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for the explanations, one file a picture.")] = Path("explanations"),
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="An option of the API as name=value, such as layer=4; repeat for more."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Ask this server, such as http://127.0.0.1:8080, instead of computing here.")
    ] = None,
    model: Annotated[str, typer.Option(help="The model's name on that server.")] = "zfnet",
    token: Annotated[str | None, typer.Option(envvar="ZFNET_TOKEN", help="That server's inference key.")] = None,
    weights: Annotated[Path, typer.Option(help="Weights to compute with here.")] = WEIGHTS,
    device: Annotated[str, typer.Option(help="Where to compute here: auto, cpu or cuda.")] = "auto",
) -> None:
    """Explain pictures: a file for each in OUT, in the format that `-o format=` asks for (png by default)."""
    console = Console(stderr=True)
    options = {"format": "png"} | dict(_pair(text) for text in option or [])
    todo = found_pictures(pictures)
    ask = _remote(url, model, token) if url else _local(weights, device)
    failed = 0
    with Progress(console=console) as progress:
        for picture, relative in progress.track(todo, description="explaining"):
            status, content_type, body = ask(picture.read_bytes(), options)
            if status == 200:
                _write(out / relative, ENDINGS[content_type], body)
            else:
                failed += 1
                console.print(f"{picture}: {status} {body.decode(errors='replace')[:300]}", markup=False)
    console.print(f"{len(todo) - failed} of {len(todo)} pictures explained, in {out}/", markup=False)
    if failed or not todo:
        raise typer.Exit(1)


def found_pictures(paths: list[Path]) -> list[tuple[Path, Path]]:
    try:
        return list(pictures_under(paths))
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--option {text!r} is not name=value")
    return name.strip(), value.strip()


def _write(picture: Path, ending: str, body: bytes) -> None:
    target = picture.with_name(picture.name + ending)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)


def _local(weights: Path, device: str) -> Ask:
    from .local import ask, local_service  # imports torch, which a client of a server does not need

    service = local_service(weights, device)

    def here(picture: bytes, options: Options) -> tuple[int, str, bytes]:
        answer = ask(service, picture, options)
        return answer.status.value, answer.content_type, answer.body

    return here


def _remote(url: str, model: str, token: str | None) -> Ask:
    import httpx

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    client = httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(10, read=600))

    def there(picture: bytes, options: Options) -> tuple[int, str, bytes]:
        try:
            reply = client.post(f"/explanations/{model}", files={"data": picture}, data=options)
        except httpx.TransportError as error:
            raise typer.BadParameter(f"no answer from {url} ({error}): is the server running?") from error
        return reply.status_code, reply.headers.get("content-type", ""), reply.content

    return there
