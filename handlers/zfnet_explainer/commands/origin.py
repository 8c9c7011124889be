"""The option that lets pages of another web origin ask, for `serve` and `package`."""

from typing import Annotated

import typer

from ..wire.origin import is_origin


def _as_browsers_send_it(origin: str) -> str:
    if origin not in ("", "*") and not is_origin(origin):
        raise typer.BadParameter(
            f"{origin!r} equals no origin that a browser sends: that is scheme://host[:port] in lower case, other "
            "alphabets as xn--..., without a path and without the scheme's own port, such as https://dashboards.example.com"
        )
    return origin


AllowedOrigin = Annotated[
    str,
    typer.Option(
        callback=_as_browsers_send_it,
        help="The web origin whose pages may ask, such as https://dashboards.example.com; *: all. "
        "`null` is that of many pages, nearly all.",
    ),
]
