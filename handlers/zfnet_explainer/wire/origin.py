"""Which pages may have a browser ask this server."""

from urllib.parse import urlsplit

from ..errors import ForbiddenOrigin, printable

DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def check_origin(origin: str, host: str, allowed: str) -> None:
    """Raise ForbiddenOrigin for a page of another web origin, but for the allowed one; `*` allows all.

    A browser says the page's origin with every request that a script or a form sends, and lets no page
    forge it; other clients send none. `host` is the request's own Host header.
    """
    if not origin or allowed in ("*", origin) or _is_same(origin, host):
        return
    raise ForbiddenOrigin(
        f"pages of {printable(origin)} may not use this server: its `allowed_origin` names the one that may"
    )


def _is_same(origin: str, host: str) -> bool:
    """Whether the page came from the address that it asks now."""
    try:
        parts = urlsplit(origin)
    except ValueError:  # brackets that do not match
        return False
    port = DEFAULT_PORTS.get(parts.scheme)
    if port is None:
        return False
    return parts.netloc.lower().removesuffix(port) == host.lower().removesuffix(port)
