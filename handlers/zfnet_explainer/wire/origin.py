"""Which pages may have a browser ask this server."""

import re
from collections.abc import Callable

from ..errors import ForbiddenOrigin
from ..messages import printable

HOST = r"(?P<host>\[[0-9a-f:.]+\]|[^\s@:/\[\]]+)(:(?P<port>[0-9]+))?"
ORIGIN = rf"(?P<scheme>https?)://{HOST}"
DEFAULT_PORTS = {"http": "80", "https": "443"}


# As browsers write it: in lower case, other alphabets in Punycode, no port that the scheme has anyway.
WRITTEN = r"(?P<scheme>[a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:(?P<port>[1-9][0-9]*))?"


def is_origin(text: str) -> bool:
    """Whether a browser may name a page's origin so, which is compared letter by letter; `null` is of many."""
    found = re.fullmatch(WRITTEN, text)
    return text == "null" or bool(found and found["port"] != DEFAULT_PORTS.get(found["scheme"], ""))


def check_origin(header: Callable[[str], str], allowed: str) -> None:
    """Raise ForbiddenOrigin for a page of another web origin, but for the allowed one; `*` allows all.

    `header` gives the request's headers by their names in lower case, empty where they are absent. No
    page can forge those that are read here: the browser sets them itself, or sends them only after a preflight request.
    Clients that are no browsers send none.
    """
    origin, site = header("origin"), header("sec-fetch-site")
    if allowed == "*" or (origin and origin == allowed):
        return
    if not (_from_here(site, header("sec-fetch-mode"), origin) if site else _is_own(origin, header)):
        page = printable(origin) or "another origin"
        raise ForbiddenOrigin(f"pages of {page} may not use this server: its `allowed_origin` names the one that may")


def _from_here(site: str, mode: str, origin: str) -> bool:
    """What the browser says of the page's address and ours, as itself sees them: no proxy changes that."""
    # A link elsewhere may lead here: it carries no origin, as all that sends something does.
    return site in ("same-origin", "none") or (mode == "navigate" and not origin)


def _is_own(origin: str, header: Callable[[str], str]) -> bool:
    """Whether the page came from the address that was asked: Host, or what the first proxy was asked for."""
    forwarded = header("x-forwarded-host").partition(",")[0]
    return not origin or any(_is_same(origin, host) for host in (header("host"), forwarded))


def _is_same(origin: str, host: str) -> bool:
    page, here = re.fullmatch(ORIGIN, origin.lower()), re.fullmatch(HOST, host.strip().lower())
    if not (page and here and page["host"] == here["host"]):
        return False
    # nginx's $host, which proxies send as Host, has no port.
    return here["port"] in (None, page["port"] or DEFAULT_PORTS[page["scheme"]])
