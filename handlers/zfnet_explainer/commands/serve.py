"""`zfnet-explainer serve`: the server, in the foreground, until Ctrl-C."""

import json
import shlex
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ..torchserve.archive import WorkerOptions, ensure_archive
from ..torchserve.config import MAX_ANSWER_BYTES, ServerOptions, is_loopback
from ..torchserve.devices import Device, UnusableGpus, visible_gpus
from ..torchserve.drain import drain
from ..torchserve.errors import ServingError
from ..torchserve.packed import read_packed
from ..torchserve.ports import LOOPBACK
from ..torchserve.run_folder import make
from ..torchserve.server import RunningServer, running_server
from .failure import failed
from .origin import AllowedOrigin
from .paths import WEIGHTS

SAMPLES = WEIGHTS.with_name("samples")

console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


def serve(
    host: Annotated[
        str, typer.Option(help="IPv4 address or name to listen on; the management port stays on 127.0.0.1.")
    ] = LOOPBACK,
    port: Annotated[
        int, typer.Option("--port", "--http_port", min=1, max=65535, help="Port for predictions and explanations.")
    ] = 8080,
    management_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of TorchServe's management API.")] = 8081,
    metrics_port: Annotated[int, typer.Option(min=1, max=65535, help="Port that Prometheus scrapes.")] = 8082,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes. Default: one a GPU, one on a CPU.", show_default=False)
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Requests that a worker takes at once. Default: 1.", show_default=False),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where the workers compute; auto: on the GPU where there is one.")] = (
        Device.AUTO
    ),
    token: Annotated[bool, typer.Option("--token/--no-token", help="Ask every request for a key.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Let everybody who reaches --host in without a key.")] = False,
    allow_origin: AllowedOrigin = "",
    run_dir: Annotated[Path, typer.Option(help="Folder for logs, temporary files and configuration.")] = Path(".run"),
    console_log: Annotated[
        bool, typer.Option("--console-log", help="Write what the workers log, and warnings, to stdout too.")
    ] = False,
    settle_seconds: Annotated[
        float, typer.Option(min=1, help="SIGTERM stops the server when nobody has asked for so long.")
    ] = 5,
    drain_seconds: Annotated[
        float, typer.Option(min=0, help="SIGTERM stops it after so long in any case; Ctrl-C at once.")
    ] = 60,
    model_name: Annotated[
        str,
        typer.Option(
            "--model-name",
            "--model_name",
            help="The model's name in the paths of requests. Default: the net's.",
            show_default=False,
        ),
    ] = "",
    archive: Annotated[
        Path | None, typer.Option(help="Serve this archive as it is, instead of building one.", show_default=False)
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help=f"The trained weights to serve. Default: {WEIGHTS}.", show_default=False),
    ] = None,
    _predictor_host: Annotated[
        str | None, typer.Option("--predictor_host", hidden=True, help="KServe tells explainers; ours predicts itself.")
    ] = None,
) -> None:
    """Start the server here and show how to ask it; Ctrl-C stops it."""
    _take_signals()
    try:
        _check_exposure(host, token=token, opened=open_)
        if archive:
            _check_fixed(workers, batch_size, weights, allow_origin)
            allow_origin = read_packed(archive).allowed_origin  # TorchServe is to say what the workers do
        _check_pages(allow_origin, token=token)
        gpus = _gpus(device)
        with StatusLine() as progress:
            if archive is None:
                packing = _packing(workers, batch_size, gpus, allow_origin)
                archive = _built(run_dir, weights or WEIGHTS, packing, progress)
            packed = read_packed(archive)
            where = ServerOptions(
                host=host, port=port, management_port=management_port, metrics_port=metrics_port,
                token=token, gpus=gpus, model=model_name or packed.model, console=console_log,
                allowed_origin=allow_origin,
            )  # fmt: skip
            with running_server(archive, run_dir, where, progress) as server:
                introduce(server, progress.done(), packed.workers)
                drain(server, settle_seconds, drain_seconds, progress.line)
    except ServingError as error:
        raise failed(error) from error
    except KeyboardInterrupt:
        pass  # one way to stop it
    _say("stopped")


def _take_signals() -> None:
    """Have SIGTERM be Ctrl-C until the model is ready, and Ctrl-C work also where a shell's `&` had it ignored.

    A terminal that closes is Ctrl-C, too, but for `nohup`: Java would serve on without its keeper.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none: that it is no place for a server is said later
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        numbers.append(hangup)
    for number in numbers:
        signal.signal(number, signal.default_int_handler)


def _say(said: str | Text) -> None:
    """What stays to be read."""
    with suppress(OSError, SystemExit):  # a full disk, or a reader that has gone (rich's way to say it)
        console.print(said)  # and the server lives on, or drains


class StatusLine:
    """What is going on: one changing line with its seconds on a terminal, a line a step elsewhere."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._status = console.status("")

    def __enter__(self) -> "StatusLine":
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def __call__(self, step: str) -> None:
        """A step begins."""
        if console.is_terminal:
            self._status.update(Text(f"{step} ..."))  # a string would be read as markup
            self._status.start()
        else:
            self.line(step)

    def line(self, said: str) -> None:
        """What stays to be read."""
        _say(said)

    def done(self) -> float:
        """Clear the line; the seconds since the beginning."""
        self._status.stop()
        return time.monotonic() - self._started


def _check_exposure(host: str, *, token: bool, opened: bool) -> None:
    if not (is_loopback(host) or token or opened):  # in this order: what is no host is refused in any case
        raise ServingError(f"--host {host} lets other machines in: ask for a key with --token, or say --open")


def _check_fixed(*given: object) -> None:
    if any(given):
        raise ServingError(
            "--workers, --batch-size, --weights and --allow-origin are fixed in an archive: "
            "leave them out, or leave --archive out and one is built with them"
        )


def _check_pages(origin: str, *, token: bool) -> None:
    """Before a page elsewhere may send a key, its browser asks without one, and TorchServe always refuses that."""
    if origin and token:
        raise ServingError(
            f"pages of {origin} cannot send the key that --token asks for: put the gateway in front (docs/gateway.md)"
        )


def _gpus(device: Device) -> int:
    """How many GPUs to serve on."""
    if device is Device.CPU:
        return 0
    try:
        gpus = visible_gpus()
    except UnusableGpus as error:
        if device is Device.CUDA:
            raise ServingError(f"--device cuda: {error} --device cpu serves without them") from error
        _say(f"{error} Serving on the CPU")
        return 0
    if device is Device.CUDA and gpus == 0:
        raise ServingError(
            "--device cuda: no GPU is visible here (TorchServe finds them by nvidia-smi, which must be on the PATH); "
            "--device cpu serves without one"
        )
    return gpus


def _packing(workers: int | None, batch_size: int | None, gpus: int, origin: str) -> WorkerOptions:
    """What the archive says of its workers: on the GPUs where there are any, one on each."""
    return WorkerOptions(
        workers=workers or max(1, gpus),
        batch_size=batch_size or 1,
        device=Device.CUDA if gpus else Device.CPU,
        max_response_bytes=MAX_ANSWER_BYTES,
        allowed_origin=origin,
    )


def _built(run_dir: Path, weights: Path, options: WorkerOptions, progress: StatusLine) -> Path:
    """The archive with these weights and options, built anew only where something has changed."""
    progress("building the archive")
    make(run_dir)
    archive = run_dir / "zfnet.mar"
    ensure_archive(archive, weights, options)
    return archive


def introduce(server: RunningServer, seconds: float, workers: int | None) -> None:
    """Print what a person can do now, with so many seconds after the start and workers, None being one a GPU."""
    options, url = server.options, server.inference_url
    used = min(workers or options.gpus, options.gpus)
    device = f"{used} of {options.gpus} GPU(s)" if options.gpus else "the CPU"
    picture = str(min(SAMPLES.glob("*.jpg"), default=Path("picture.jpg")))
    raw, field = shlex.quote(picture), shlex.quote(f"data=@{picture}")
    curl = 'curl -H "Authorization: Bearer $KEY"' if options.token else "curl"
    lines = [
        f"  {curl} -T {raw} {url}/predictions/{options.model}",
        f"  {curl} -F {field} -o explained.json {url}/explanations/{options.model}",
        f"  {curl} -F {field} -F format=png -o explained.png {url}/explanations/{options.model}",
        "",
    ]
    if options.token:
        lines = ["", *_how_to_get_the_key(server), *lines]
    else:  # a browser sends no key
        lines = ["", *lines, f"page     {url}/explanations/{options.model}"]
    lines += [f"metrics  {server.metrics_url}/metrics", f"logs     {server.folder.logs}", "stop     Ctrl-C"]
    _say(Text.assemble(("ready", "bold green"), f" after {seconds:.0f} s: {url}, on {device}"))
    _say("\n".join(lines))


def _how_to_get_the_key(server: RunningServer) -> list[str]:
    """Lines that read the key when they are run: a key that is printed is a key in a log."""
    path = json.dumps(str(server.folder.key_file), ensure_ascii=False)
    read = f'import json; print(json.load(open({path}))["inference"]["key"])'
    return [
        f"  KEY=$(python3 -c {shlex.quote(read)})  # valid for 60 minutes",
        f"  # Then GET {server.management_url}/token?type=inference, with the file's key `API`, puts a new one there:",
        "  # docs/operations.md, Keys",
        "",
    ]
