"""A server that answers with scripted bytes, over real sockets, in a thread of its own (no gevent)."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Step = bytes | float | str  # send these bytes; wait so many seconds; "close", "reset", "read"
RESET = struct.pack("ii", 1, 0)


class Scripted:
    """Plays one script a request, in order; the last one again and again. `requests` holds what came in."""

    def __init__(self, scripts: Sequence[Sequence[Step]], tls: ssl.SSLContext | None = None) -> None:
        self._scripts, self._tls = list(scripts), tls
        self.requests: list[bytes] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(20)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            while (request := _read_request(sock)) is not None:
                with self._lock:
                    self.requests.append(request)
                    script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
                if not _play(sock, script):
                    return
        except OSError:
            return
        finally:
            sock.close()

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._listener.close()
        for sock in self._open:
            sock.close()


def _read_request(sock: socket.socket) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0
    )
    while len(body) < length and b"x-answer-early" not in head.lower():
        body += sock.recv(1 << 20)
    return head + b"\r\n\r\n" + body


def _play(sock: socket.socket, script: Sequence[Step]) -> bool:
    """False when the script has closed the connection."""
    for step in script:
        if isinstance(step, bytes):
            sock.sendall(step)
        elif isinstance(step, float):
            time.sleep(step)
        else:
            if step == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            return False
    return True


@contextmanager
def serving(*scripts: Sequence[Step], tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """A running server, closed at the end."""
    server = Scripted(scripts, tls)
    try:
        yield server
    finally:
        server.close()


def until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Wait until the condition holds. Raises AssertionError after the limit."""
    import gevent

    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        gevent.sleep(0.01)
