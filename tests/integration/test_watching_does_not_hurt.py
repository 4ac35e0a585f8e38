"""Whoever holds the connections open by which a run is watched takes no descriptors from the run for long."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from gevent import socket

from fmload.base import http_limits
from fmload.exposition.server import serve

ASK = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(http_limits, "MOST_CONNECTIONS", 3)
    server = serve(lambda: None, "127.0.0.1", 0)
    assert server is not None
    yield server.server_port
    server.stop()


def connected(port: int, sent: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    sock.sendall(sent)
    return sock


def answer(sock: socket.socket) -> bytes:
    heard = b""
    while data := sock.recv(65536):
        heard += data
    return heard


def test_connections_beyond_the_most_wait_and_are_answered_when_one_ends(port: int) -> None:
    held = [connected(port, b"GET /met") for _ in range(3)]
    gevent.sleep(0.1)
    waiting = connected(port, ASK)
    waiting.settimeout(0.3)
    with pytest.raises(TimeoutError):
        waiting.recv(1)
    held[0].close()
    waiting.settimeout(20)
    assert b"fmload_build_info" in answer(waiting)


@pytest.mark.parametrize("sent", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: local",
                                  ASK.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\nx")])
def test_a_connection_that_falls_quiet_is_closed(port: int, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "QUIET_S", 0.1)
    quiet = connected(port, sent)
    answer(quiet)  # ends
    assert b"fmload_build_info" in answer(connected(port, ASK))
