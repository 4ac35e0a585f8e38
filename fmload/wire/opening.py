"""The way to an address: those of its host one after the other, a Unix socket, or a proxy and a tunnel through it."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress
from typing import Any

import gevent.socket

from fmload.wire import socks
from fmload.wire.exchange import Address, Proxy, bracketed
from fmload.wire.framing import FramingError, parse_head
from fmload.wire.tls import TlsSession

READ_BYTES = 64 * 1024
MAX_REPLY_BYTES = 16 * 1024
_HEAD_END = b"\r\n\r\n"


class ProxyRefused(ConnectionError):
    """The proxy does not let the connection through; the text says why."""


class Opened:
    """A connected gevent socket, and the TLS session over it, where there is one. Every method blocks the greenlet."""

    def __init__(self, sock: gevent.socket.socket) -> None:
        self.sock = sock
        self.tls: TlsSession | None = None

    def begin_tls(self, address: Address) -> None:
        """Shake hands with what the socket leads to: over the session that is there, where there is one.

        Raises ssl.SSLError for what TLS refuses.
        """
        tls = TlsSession(address, self.tls)
        data = b""
        while not tls.shake_hands(data):
            self.sock.sendall(tls.pending_output())
            data = self.sock.recv(READ_BYTES)
            if not data:
                raise _tls_error("the server closed the connection during the TLS handshake")
        self.sock.sendall(tls.pending_output())
        self.tls = tls

    def say(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data if self.tls is None else self.tls.encrypt(data))

    def hear(self, at_most: int = MAX_REPLY_BYTES) -> bytes:
        """What comes next, under TLS perhaps more than asked for; empty at the peer's end."""
        while True:
            data: bytes = self.sock.recv(at_most)
            if self.tls is None or not data:
                return data
            plain = self.tls.decrypt(data)
            if output := self.tls.pending_output():
                self.sock.sendall(output)
            if plain or self.tls.closed:
                return plain


def opened(address: Address, limit_s: float | None = None) -> Opened:
    """A connection on which the next byte goes to the server; blocks the greenlet. Raises OSError.

    A name with several addresses is tried at each, in the resolver's order; one that does not answer takes its share
    of `limit_s`, so that the others have theirs. The session over it is that with an HTTPS proxy.
    """
    if address.socket_path is not None:
        return Opened(_unix(address.socket_path))
    if address.proxy is None:
        return Opened(_first_of(address.host, address.port, limit_s))
    way = opened_proxy(address.proxy, limit_s)
    try:
        if address.proxy.tunnels_all:
            _socks_tunnel(way, address, address.proxy)
        elif address.tls:
            _http_tunnel(way, address, address.proxy)
    except BaseException as error:
        way.sock.close()
        if isinstance(error, OSError) and not isinstance(error, ProxyRefused | ssl.SSLError):
            raise _of_the_proxy(address.proxy, error) from error
        raise
    return way


def opened_proxy(proxy: Proxy, limit_s: float | None = None) -> Opened:
    """A connection to the proxy itself, under TLS where it is an HTTPS proxy. Raises OSError."""
    try:
        way = Opened(_first_of(proxy.host, proxy.port, limit_s))
    except OSError as error:
        raise _of_the_proxy(proxy, error) from error
    try:
        if proxy.address.tls:
            way.begin_tls(proxy.address)
    except BaseException as error:
        way.sock.close()
        if isinstance(error, OSError):
            raise _of_the_proxy(proxy, error) from error
        raise
    return way


def _of_the_proxy(proxy: Proxy, error: OSError) -> OSError:
    """The same error, of the same class, that says whose it is."""
    if isinstance(error, ssl.SSLError):
        return _tls_error(f"the proxy {proxy}: {getattr(error, 'verify_message', '') or error}")
    return OSError(error.errno, f"the proxy {proxy}: {error.strerror or error}")


def _tls_error(words: str) -> ssl.SSLError:
    """With the words alone it would read as a tuple."""
    return ssl.SSLError(ssl.SSL_ERROR_SSL, words)


def _unix(path: str) -> gevent.socket.socket:
    sock = gevent.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _first_of(host: str, port: int, limit_s: float | None) -> gevent.socket.socket:
    found = _addresses(host, port)
    end = None if limit_s is None else time.monotonic() + limit_s
    for place, (family, kind, protocol, _, where) in enumerate(found):
        left = len(found) - place
        share_s = None if end is None or left == 1 else max(0.001, (end - time.monotonic()) / left)
        sock = gevent.socket.socket(family, kind, protocol)
        try:
            sock.settimeout(share_s)
            sock.connect(where)
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError:
            sock.close()
            if left == 1:
                raise
        except BaseException:
            sock.close()
            raise
    raise OSError(f"{host} has no address")


def _addresses(host: str, port: int) -> list[Any]:
    """As `getaddrinfo` has them. The resolver has a thread do its work, at every connection: what needs none is not
    asked of it."""
    for family, more in ((socket.AF_INET, ()), (socket.AF_INET6, (0, 0))):
        with suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, *more))]
    return list(gevent.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def _http_tunnel(way: Opened, address: Address, proxy: Proxy) -> None:
    """Have the proxy connect to the server (CONNECT); what follows on the socket is between the two ends."""
    target = f"{bracketed(address.host)}:{address.port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.login is not None:
        lines.append(f"Proxy-Authorization: {proxy.login.basic()}")
    way.say("\r\n".join([*lines, "", ""]).encode("latin-1"))
    reply = b""
    while _HEAD_END not in reply:
        data = way.hear()
        if not data or len(reply) > MAX_REPLY_BYTES:
            raise ProxyRefused(f"the proxy {proxy} closed the connection" if not data else
                               f"the proxy {proxy} answers without end")
        reply += data
    try:
        head = parse_head(reply.partition(_HEAD_END)[0])
    except FramingError as error:
        raise ProxyRefused(f"the proxy {proxy}: {error}") from error
    if not 200 <= head.status < 300:
        raise ProxyRefused(f"the proxy {proxy} refuses a connection to {target}: HTTP {head.status} {head.reason}")


def _socks_tunnel(way: Opened, address: Address, proxy: Proxy) -> None:
    host = address.host
    if proxy.kind == "socks5":
        host = gevent.socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM)[0][4][0]

    def hear(count: int) -> bytes:
        heard = b""
        while len(heard) < count:
            if not (data := way.hear(count - len(heard))):
                raise ProxyRefused(f"the proxy {proxy} closed the connection")
            heard += data
        return heard

    try:
        socks.tunnel(way.say, hear, host, address.port, proxy.login)
    except socks.SocksError as error:
        raise ProxyRefused(f"the proxy {proxy}: {error}") from error
