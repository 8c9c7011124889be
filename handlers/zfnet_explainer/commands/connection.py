"""The way to the server that `--url` names: past which proxies, and with whose certificates."""

import os
import re
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:  # a run that computes here does not wait for it
    import httpx

PROXIES = ("all_proxy", "http_proxy", "https_proxy")  # in any case


def named(url: str) -> str:
    """An address as it may be told: without the name and password in it, whatever characters they have."""
    import httpx

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.host:
        return str(parsed.copy_with(userinfo=b"")) if parsed.userinfo else url
    return re.sub(r"^(\w+://)?.*@", r"\1", url, flags=re.DOTALL)


def connected(url: str, headers: dict[str, str], cacert: Path | None) -> "httpx.Client":
    """A client of the server at that address.

    Raises typer.BadParameter for certificates that cannot be read and for a proxy that cannot be used.
    """
    import httpx

    timeout, trusted = httpx.Timeout(10, read=620), _trust(cacert)  # the gateway gives up after 610 s, and says so
    # This machine as a proxy knows it is another: what listens here is asked itself, whatever the environment says.
    proxied = not _is_here(httpx.URL(url).host)
    try:
        return httpx.Client(base_url=url, headers=headers, timeout=timeout, verify=trusted, trust_env=proxied)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        # Names alone: an address may hold a password.
        names = ", ".join(name for name in os.environ if name.lower() in PROXIES and os.environ[name])
        raise typer.BadParameter(
            f"the proxy that the environment names ({names}) cannot be used: {error} "
            "Name another, or none with NO_PROXY='*'"
        ) from error


def _trust(cacert: Path | None) -> ssl.SSLContext:
    """What a server's certificate is checked against: one's own CA, else those that everybody trusts."""
    import httpx

    try:
        return ssl.create_default_context(cafile=cacert) if cacert else httpx.create_ssl_context()
    except OSError as error:
        named = f"--cacert {cacert}" if cacert else f"SSL_CERT_FILE={os.environ.get('SSL_CERT_FILE')}"
        raise typer.BadParameter(f"{named} is no file of certificates in PEM: {error}") from error


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
