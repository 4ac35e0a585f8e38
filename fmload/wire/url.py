"""From a URL to where to connect and what to ask for there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from fmload.base.errors import FmloadError
from fmload.base.redaction import protect
from fmload.wire.exchange import MAX_SOCKS_LOGIN_BYTES, Address, Login, Proxy, ProxyKind

_UNFIT = re.compile(r"[^\x21-\x7e]")
_EXAMPLE = "write http://host:port/v1"
_PROXY = ("write http://host:port, https:// for a proxy that is spoken to under TLS, socks5:// or socks5h:// (which "
          "resolves names itself) for SOCKS 5; with user:password@ before the host where the proxy asks for them, "
          "%-encoded (%2F for /)")
_PROXY_PORTS: dict[str, tuple[ProxyKind, int]] = {
    "http": ("http", 80), "https": ("https", 443), "socks5": ("socks5", 1080), "socks5h": ("socks5h", 1080)}
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
    login = _login(parts)
    address = Address(parts.hostname, parts.port or (443 if tls else 80), tls, way.ca_file if tls else None, way.verify,
                      None if login is None else login.basic(), way.certificate if tls else None,
                      way.certificate_key if tls else None,
                      proxy=None if way.proxy is None else split_proxy(way.proxy, way.ca_file))
    return address, parts.path, parts.query


def split_proxy(url: str, ca_file: str | None = None) -> Proxy:
    """The proxy of a URL. Raises FmloadError for what is none, and for kinds of proxy that are not spoken here."""
    if _UNFIT.search(url) or "://" not in url:
        raise FmloadError(f"'{shown(url)}' is not the URL of a proxy", hint=_PROXY)
    parts = _parts(url)
    if parts.scheme not in _PROXY_PORTS or not parts.hostname:
        raise FmloadError(f"'{shown(url)}' is no proxy that can be spoken to", hint=_PROXY)
    kind, port = _PROXY_PORTS[parts.scheme]
    proxy = Proxy(parts.hostname, parts.port or port, kind, _login(parts), ca_file)
    if proxy.tunnels_all and proxy.login is not None and not proxy.login.fits_socks():
        raise FmloadError(f"'{shown(url)}': user and password of a SOCKS proxy have 1 to {MAX_SOCKS_LOGIN_BYTES} bytes "
                          "each", hint=_PROXY)
    return proxy


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FmloadError(f"'{shown(url)}' is not a URL", hint=_EXAMPLE) from error
    if parts.scheme != _UNIX and not _is_name(parts.hostname or ""):
        raise FmloadError(f"'{shown(url)}' is not a URL: its host has an empty part, or one of more than 63 characters",
                          hint=_EXAMPLE)
    if port == 0:
        raise FmloadError(f"'{shown(url)}' has port 0, where nothing can listen", hint=_EXAMPLE)
    return parts


def _is_name(host: str) -> bool:
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def shown(url: str) -> str:
    """What is no URL, for messages: without user and password, without query, and of a length for people. All up to the
    last `@` goes: a password may hold whatever makes it no URL."""
    scheme, separator, _ = url.partition("://")
    rest = url.removeprefix(f"{scheme}://").rpartition("@")[2]
    plain = f"{scheme}{separator}{rest}" if separator and "@" not in scheme else rest
    plain = plain.partition("?")[0]
    return plain if len(plain) <= 100 else f"{plain[:97]}..."


def _login(parts: SplitResult) -> Login | None:
    if parts.username is None:
        return None
    login = Login(unquote(parts.username), unquote(parts.password or ""))
    protect(login.password)
    protect(login.basic().partition(" ")[2])
    return login


def with_query(path: str, query: str) -> str:
    """The request's target."""
    return f"{path}?{query}" if query else path
