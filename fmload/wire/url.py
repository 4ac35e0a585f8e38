"""From a URL to where to connect and what to ask for there."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from fmload.base.errors import FmloadError
from fmload.base.redaction import protect
from fmload.wire.exchange import Address, Proxy

_UNFIT = re.compile(r"[^\x21-\x7e]")
_EXAMPLE = "write http://host:port/v1"
_PROXY = "write http://host:port, with user:password@ before the host where the proxy asks for them"
_UNIX = "http+unix"


@dataclass(frozen=True, slots=True)
class Way:
    """How an address is reached: trust, the client's own certificate (PEM files), and a proxy's URL."""

    ca_file: str | None = None
    verify: bool = True
    certificate: str | None = None
    certificate_key: str | None = None
    proxy: str | None = None


def split_url(url: str, way: Way = Way()) -> tuple[Address, str, str]:
    """Address, path and query. A user and password in it become the Authorization of the address.

    `http+unix://%2Frun%2Fserver.sock/v1` is a Unix socket. Raises FmloadError for what is no such URL.
    """
    if unfit := _UNFIT.search(url):
        raise FmloadError(f"'{shown(url)}' holds {unfit[0]!a}, which no URL may", hint="write it %-encoded")
    parts = _parts(url)
    if parts.scheme == _UNIX and parts.netloc:
        return Address("localhost", 80, socket_path=unquote(parts.netloc)), parts.path, parts.query
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FmloadError(f"'{shown(url)}' is not a URL", hint=_EXAMPLE)
    tls = parts.scheme == "https"
    address = Address(parts.hostname, parts.port or (443 if tls else 80), tls, way.ca_file if tls else None, way.verify,
                      _authorization(parts), way.certificate if tls else None, way.certificate_key if tls else None,
                      proxy=None if way.proxy is None else split_proxy(way.proxy))
    return address, parts.path, parts.query


def split_proxy(url: str) -> Proxy:
    """The proxy of a URL. Raises FmloadError for what is none, and for kinds of proxy that are not spoken here."""
    if _UNFIT.search(url) or "://" not in url:
        raise FmloadError(f"'{shown(url)}' is not the URL of a proxy", hint=_PROXY)
    parts = _parts(url)
    if parts.scheme != "http" or not parts.hostname:
        raise FmloadError(f"'{shown(url)}': only HTTP proxies are spoken to, over plain TCP", hint=_PROXY)
    return Proxy(parts.hostname, parts.port or 80, _authorization(parts))


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FmloadError(f"'{shown(url)}' is not a URL", hint=_EXAMPLE) from error
    if port == 0:
        raise FmloadError(f"'{shown(url)}' has port 0, where nothing can listen", hint=_EXAMPLE)
    return parts


def shown(url: str) -> str:
    """The URL for messages: without user and password, without query, and of a length for people."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    plain = f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}" if separator else url
    plain = plain.partition("?")[0]
    return plain if len(plain) <= 100 else f"{plain[:97]}..."


def _authorization(parts: SplitResult) -> str | None:
    """RFC 7617."""
    if parts.username is None:
        return None
    password = unquote(parts.password or "")
    pair = b64encode(f"{unquote(parts.username)}:{password}".encode()).decode()
    protect(password)
    protect(pair)
    return f"Basic {pair}"


def with_query(path: str, query: str) -> str:
    """The request's target."""
    return f"{path}?{query}" if query else path
