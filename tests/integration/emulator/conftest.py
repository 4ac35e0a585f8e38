"""Emulators as processes on free ports, and a client of bare sockets."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fmload.emulator import truth
from fmload.emulator.truth import Truth
from tests import emulators
from tests.emulators import Emulator

LIMIT_S = 30.0


@dataclass
class Emulated:
    """A running emulator."""

    url: str
    ca_file: str | None
    process: Emulator
    truth_path: Path
    output: Path

    def connect(self) -> socket.socket:
        parts = urlsplit(self.url)
        return socket.create_connection((parts.hostname, parts.port), timeout=LIMIT_S)

    def truths(self, count: int) -> list[Truth]:
        """The truth log once it holds `count` records."""
        wait_until(lambda: len(truth.read(self.truth_path)) >= count, f"{count} records in the truth log")
        return truth.read(self.truth_path)

    def truth_of(self, request_id: str) -> Truth:
        """The record of one request."""
        wait_until(lambda: any(one.request_id == request_id for one in truth.read(self.truth_path)), request_id)
        return next(one for one in truth.read(self.truth_path) if one.request_id == request_id)

    def get(self, path: str) -> bytes:
        with self.connect() as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            return read_response(sock).body

    def stats(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.get("/emulator/stats"))
        return result


@dataclass
class Response:
    """A response as read from a socket."""

    status: int
    head: str
    body: bytes
    complete: bool

    @property
    def tokens(self) -> int:
        return self.body.count(b'"content":" ')


Emulate = Callable[..., Emulated]


def wait_until(true: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < limit, f"waited {LIMIT_S:g} s for {what}"
        time.sleep(0.02)


@pytest.fixture
def emulate(tmp_path: Path) -> Iterator[Emulate]:
    """Starts an emulator with the given options; stopped at the end of the test."""
    yield from _starter(tmp_path)


@pytest.fixture(scope="module")
def emulate_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulate]:
    """As `emulate`; stopped after the last test of the file."""
    yield from _starter(tmp_path_factory.mktemp("module"))


def _starter(tmp_path: Path) -> Iterator[Emulate]:
    running: list[Emulator] = []

    def start(*options: str) -> Emulated:
        folder = tmp_path / f"emulator-{len(running)}"
        folder.mkdir()
        ready, log, output = folder / "ready.json", folder / "truth", folder / "output"
        process = emulators.start(["--port", "0", "--ready-file", str(ready), "--truth", str(log), *options], output)
        running.append(process)
        told = emulators.ready(process, ready, output)
        assert told["pid"] == process.pid
        return Emulated(told["url"], told["ca_file"], process, log, output)

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(LIMIT_S)


def chat(tokens: int = 5, request_id: str = "r", headers: str = "", stream: bool = True, prompt: str = "hi") -> bytes:
    """A chat completion request."""
    body = json.dumps({"model": "m", "stream": stream, "max_tokens": tokens,
                       "messages": [{"role": "user", "content": prompt}]}).encode()
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: {request_id}\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def read_response(sock: socket.socket, leftover: bytearray | None = None) -> Response:
    """One response; an unfinished one comes back as not complete. `leftover` keeps what belongs to the next."""
    data = leftover if leftover is not None else bytearray()
    while (end := data.find(b"\r\n\r\n")) < 0:
        if not _more(sock, data):
            return Response(0, "", bytes(data), False)
    head = data[:end].decode()
    del data[:end + 4]
    status = int(head.split(" ", 2)[1])
    length = re.search(r"Content-Length: (\d+)", head)
    if length:
        return _sized(sock, data, status, head, int(length[1]))
    if "Transfer-Encoding" in head:
        return _chunked(sock, data, status, head)
    while _more(sock, data):
        pass
    return Response(status, head, bytes(data), True)


def _sized(sock: socket.socket, data: bytearray, status: int, head: str, length: int) -> Response:
    while len(data) < length and _more(sock, data):
        pass
    body = bytes(data[:length])
    del data[:length]
    return Response(status, head, body, len(body) == length)


def _chunked(sock: socket.socket, data: bytearray, status: int, head: str) -> Response:
    body = bytearray()
    while True:
        while (end := data.find(b"\r\n")) < 0:
            if not _more(sock, data):
                return Response(status, head, bytes(body), False)
        size = int(data[:end], 16)
        while len(data) < end + 4 + size:
            if not _more(sock, data):
                return Response(status, head, bytes(body), False)
        body += data[end + 2:end + 2 + size]
        del data[:end + 4 + size]
        if not size:
            return Response(status, head, bytes(body), True)


def _more(sock: socket.socket, data: bytearray) -> bool:
    received = sock.recv(1 << 20)
    data += received
    return bool(received)
