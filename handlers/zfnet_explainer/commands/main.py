"""`zfnet-explainer`: serve, package, train, explain, crosscheck."""

import typer

from .crosscheck import crosscheck
from .explain import explain
from .package import package
from .serve import serve
from .train import train

app = typer.Typer(
    help="ZFNet behind TorchServe: predictions, deconvnet projections and occlusion maps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (serve, explain, crosscheck, train, package):
    app.command()(command)
