"""The way to an address: those of its host one after the other, a Unix socket, or a proxy and a tunnel through it."""

from __future__ import annotations

import socket
import time

import gevent.socket

from fmload.wire.exchange import Address, bracketed
from fmload.wire.framing import FramingError, parse_head

MAX_REPLY_BYTES = 16 * 1024
_HEAD_END = b"\r\n\r\n"


class ProxyRefused(ConnectionError):
    """The proxy does not let the connection through; the text says why."""


def opened(address: Address, limit_s: float | None = None) -> gevent.socket.socket:
    """A connected gevent socket on which the first byte goes to the server; blocks the greenlet. Raises OSError.

    A name with several addresses is tried at each, in the resolver's order; one that does not answer takes its share
    of `limit_s`, so that the others have theirs.
    """
    if address.socket_path is not None:
        return _unix(address.socket_path)
    if address.proxy is None:
        return _first_of(address.host, address.port, limit_s)
    sock = _first_of(address.proxy.host, address.proxy.port, limit_s)
    if address.tls:
        try:
            _tunnel(sock, address)
        except BaseException:
            sock.close()
            raise
    return sock


def _unix(path: str) -> gevent.socket.socket:
    sock = gevent.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _first_of(host: str, port: int, limit_s: float | None) -> gevent.socket.socket:
    found = gevent.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
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


def _tunnel(sock: gevent.socket.socket, address: Address) -> None:
    """Have the proxy connect to the server (CONNECT); what follows on the socket is between the two ends."""
    proxy, target = address.proxy, f"{bracketed(address.host)}:{address.port}"
    assert proxy is not None
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
    reply = b""
    while _HEAD_END not in reply:
        data = sock.recv(MAX_REPLY_BYTES)
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
