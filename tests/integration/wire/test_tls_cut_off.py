"""A TLS connection that ends after any number of bytes, in the handshake or in the answer, is one failed request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fmload.wire.exchange import Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.wire.url import Way, split_url
from tests.integration.wire.served import RESET
from tests.integration.wire.test_networks import POST, tls_server

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n" + b"x" * 300

pytestmark = pytest.mark.usefixtures("reader")


class Cutter:
    """Between client and server: passes on so many bytes of the server's, and then ends the client's connection."""

    def __init__(self, server: int) -> None:
        self.left, self.reset, self.passed = 0, False, 0
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server))
            upwards = threading.Thread(target=self._pass, args=(client, server), daemon=True)
            upwards.start()
            self._cut(server, client)
            upwards.join()  # it reads no more: a socket that is read by somebody is not closed
            for sock in (client, server):
                sock.close()

    def _pass(self, source: socket.socket, goal: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                goal.sendall(data)

    def _cut(self, server: socket.socket, client: socket.socket) -> None:
        left, self.passed = self.left, 0
        with suppress(OSError):
            while left and (data := server.recv(min(left, 65536))):
                client.sendall(data)
                left -= len(data)
                self.passed += len(data)
        if self.reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RD if self.reset else socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()


@contextmanager
def cutter(folder: Path) -> Iterator[tuple[Cutter, str]]:
    with tls_server(folder, script=[ANSWER, "close"]) as (server, ca_file):
        between = Cutter(server.port)
        try:
            yield between, ca_file
        finally:
            between.close()


@pytest.mark.parametrize("reset", [False, True])
def test_wherever_tls_is_cut_off_the_request_fails_or_is_whole_and_nothing_waits(reset: bool, tmp_path: Path) -> None:
    with cutter(tmp_path) as (between, ca_file):
        address = split_url(f"https://localhost:{between.port}/v1", Way(ca_file))[0]
        between.left = 1 << 20
        wire = Http1Wire(Timeouts(connect_s=20, first_token_s=20, total_s=30))
        whole = wire.exchange(address, POST, lambda body: True)
        assert (whole.status, len(whole.body), whole.failure) == (200, 300, None)
        between.reset, length, outcomes = reset, between.passed, set()
        for cut in range(0, length, 37):
            between.left = cut
            exchange = wire.exchange(address, POST, lambda body: True)
            assert exchange.failure is not None, f"cut off after {cut} of {length} bytes"
            assert not exchange.failure.outcome.startswith("timeout"), exchange.failure
            outcomes.add(exchange.failure.outcome)
        assert "tls" in outcomes or reset
        assert wire.under_way() == []
