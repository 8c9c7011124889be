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
app.command(short_help="Start the server here and show how to ask it.")(serve)
app.command(short_help="Explain pictures, or folders of them.")(explain)
app.command(short_help="Compare explanations of pictures with Captum's.")(crosscheck)
app.command(short_help="Train ZFNet on a folder of pictures.")(train)
app.command("import", short_help="Turn trained weights of AlexNet or VGG into a checkpoint.")(import_net)
app.command(short_help="Build the archive (.mar) that TorchServe loads.")(package)
app.command(short_help="Measure how accurate a net is, and its explanations.")(evaluate)
app.command(short_help="Build the atlas: what each map answers to.")(gallery)
app.command(short_help="Time maps, projections and whole requests.")(bench)
app.add_typer(figures.app, name="figures")


def main() -> None:
    """The program. As the first process of a container it ends at SIGTERM as at Ctrl-C, instead of passing it over."""
    # Elsewhere the default stays: it also ends a process that waits in C++ for the others of its run.
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
