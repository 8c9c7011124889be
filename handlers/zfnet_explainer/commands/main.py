"""`zfnet-explainer`: serve, explain, crosscheck, train, import, package, evaluate, gallery, figures, bench."""

import os
import signal

import typer

from . import figures
from .bench import bench
from .crosscheck import crosscheck
from .evaluate import evaluate
from .explain import explain
from .failure import WatchesTheDisk
from .gallery import gallery
from .import_net import import_net
from .package import package
from .serve import serve
from .train import train

app = typer.Typer(
    cls=WatchesTheDisk,
    help="ZFNet behind TorchServe: predictions, deconvnet projections and occlusion maps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut words, defaults and paths at 80 columns
)
# In the order of --help: asking a net, making one, finding out about one.
app.command()(serve)
app.command()(explain)
app.command()(crosscheck)
app.command()(train)
app.command("import")(import_net)
app.command()(package)
app.command()(evaluate)
app.command()(gallery)
app.command()(bench)
app.add_typer(figures.app, name="figures")


def main() -> None:
    """The program. As the first process of a container it ends at SIGTERM as at Ctrl-C, instead of passing it over."""
    # Elsewhere the default stays: it also ends a process that waits in C++ for the others of its run.
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
