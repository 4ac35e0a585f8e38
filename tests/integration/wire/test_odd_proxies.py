"""Proxies that answer by halves, or go in the middle: each is named, without its password, and nothing is taken for the
server's answer."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from fmload.wire.exchange import Exchange, HttpRequest, Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.wire.url import Way, split_url

Step = bytes | str  # said once something has come; or "close", or "reset"
OPENED = bytes([5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@contextmanager
def proxy(*steps: Step) -> Iterator[int]:
    """The port of a proxy that hears something, does the next step, and so on, and closes, for one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve() -> None:
            sock, _ = listener.accept()
            with sock, suppress(OSError):  # who asks may have gone by then
                for step in steps:
                    sock.recv(4096)
                    if step == "reset":
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    if isinstance(step, str):
                        return
                    sock.sendall(step)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(4096)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def asked(kind: str, port: int, scheme: str) -> Exchange:
    address, path, _ = split_url(f"{scheme}://far.test/x", Way(proxy=f"{kind}://me:a-password@127.0.0.1:{port}"))
    wire = Http1Wire(Timeouts(5, 5, 5, 5))
    try:
        return wire.exchange(address, HttpRequest("GET", path, {}, b""), bool)
    finally:
        wire.close()


@pytest.mark.parametrize(("kind", "scheme", "steps"), [
    ("socks5h", "http", ["close"]), ("socks5h", "http", ["reset"]), ("socks5h", "http", [b"\x05"]),
    ("socks5h", "http", [b"\x05\x02", "reset"]), ("socks5h", "http", [b"\x05\x00", b"\x05\x00\x00"]),
    ("socks5h", "http", [b"\x05\x00", b"\x05\x00\x00\x00\0\0\0\0\0\0" + ANSWER]),
    ("socks5h", "http", [b"HTTP/1.1 400 Bad Request\r\n\r\n"]), ("socks5h", "https", [b"\x05\x00", "reset"]),
    ("http", "https", ["close"]), ("http", "https", ["reset"]), ("http", "https", [b"HTTP/1.1 200 O"]),
    ("http", "https", [b"HTTP/1.1 407 a-password?\r\n\r\n"]), ("https", "http", ["reset"]),
    ("https", "https", [b"HTTP/1.1 400 Bad Request\r\n\r\n"])])
def test_a_proxy_that_breaks_off_is_named(kind: str, scheme: str, steps: list[Step]) -> None:
    with proxy(*steps) as port:
        failure = asked(kind, port, scheme).failure
    assert failure is not None and failure.outcome in ("connect", "tls")
    assert f"the proxy {kind}://127.0.0.1:{port}" in failure.message
    assert "('" not in failure.message, "words, and no tuple of Python's"


def test_what_comes_in_pieces_is_put_together() -> None:
    with proxy(b"\x05\x00", OPENED, ANSWER) as port:
        exchange = asked("socks5h", port, "http")
    assert (exchange.status, exchange.body, exchange.complete) == (200, b"hi", True)
