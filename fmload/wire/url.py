"""From a URL to where to connect and what to ask for there."""

from __future__ import annotations

from urllib.parse import urlsplit

from fmload.base.errors import FmloadError
from fmload.wire.exchange import Address


def split_url(url: str, ca_file: str | None = None, verify: bool = True) -> tuple[Address, str, str]:
    """Address, path and query. Raises FmloadError for what is no http(s) URL."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
        raise FmloadError(f"'{url}' is not a URL of an endpoint", hint="write http://host:port/v1")
    tls = parts.scheme == "https"
    address = Address(parts.hostname, port or (443 if tls else 80), tls, ca_file if tls else None, verify)
    return address, parts.path, parts.query


def is_url(url: str) -> bool:
    """Whether it names an HTTP server."""
    try:
        split_url(url)
    except (FmloadError, ValueError):
        return False
    return True


def with_query(path: str, query: str) -> str:
    """The request's target."""
    return f"{path}?{query}" if query else path
