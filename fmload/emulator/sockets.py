"""Connections: non-blocking sockets with kernel receive stamps, plain or TLS, that keep what could not be sent."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from typing import Protocol

from fmload.wire.clock import SO_TIMESTAMPNS, enable_kernel_stamps

_ANCILLARY = socket.CMSG_SPACE(16)
_READ_BYTES = 262144
_WRITE_BYTES = 1048576


class Channel(Protocol):
    """Bytes in and out of one connection.

    `receive` returns (bytes, arrival ns), b"" at the end of the stream, None when nothing is there yet. `send` and
    `flush` return True when nothing is left to send. All raise OSError when the peer is gone.
    """

    def receive(self) -> tuple[bytes, int] | None: ...

    def send(self, data: bytes) -> bool: ...

    def flush(self) -> bool: ...


def listener(host: str, port: int) -> socket.socket:
    """A listening socket whose connections inherit no delay, and kernel stamps where there are any. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setblocking(False)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    enable_kernel_stamps(server)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.bind((host, port))
    server.listen(4096)
    return server


def receive_stamped(sock: socket.socket) -> tuple[bytes, int] | None:
    """(bytes, arrival on the monotonic clock), the kernel's stamp where there is one; None when nothing is there."""
    try:
        data, ancillary, _, _ = sock.recvmsg(_READ_BYTES, _ANCILLARY)
    except BlockingIOError:
        return None
    now_ns = time.monotonic_ns()
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", value[:16])
            lag_ns = time.time_ns() - (seconds * 1_000_000_000 + nanoseconds)
            return data, now_ns - max(0, lag_ns)
    return data, now_ns


class PlainChannel:
    """TCP. `backlog` holds what the kernel would not take yet."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._backlog = bytearray()

    def receive(self) -> tuple[bytes, int] | None:
        return receive_stamped(self._socket)

    def send(self, data: bytes) -> bool:
        if self._backlog:
            self._backlog += data
            return False
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._backlog += data[sent:]
        return not self._backlog

    def flush(self) -> bool:
        try:
            while self._backlog:
                with memoryview(self._backlog) as waiting:
                    sent = self._socket.send(waiting[:_WRITE_BYTES])
                del self._backlog[:sent]
        except BlockingIOError:
            return False
        return True


class TlsChannel:
    """TLS over a `PlainChannel`, so that the stamps are those of the bytes on the wire."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._plain = PlainChannel(sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._ready = False

    def receive(self) -> tuple[bytes, int] | None:
        received = self._plain.receive()
        if received is None:
            return None
        data, at_ns = received
        if not data:
            return b"", at_ns
        self._incoming.write(data)
        clear = self._read()
        self._push()
        return (clear, at_ns) if clear is not None else None

    def _read(self) -> bytes | None:
        pieces = []
        try:
            if not self._ready:
                self._tls.do_handshake()
                self._ready = True
            while piece := self._tls.read(_READ_BYTES):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return b"".join(pieces) or None
        except ssl.SSLError as error:
            self._push()  # the alert, so that the peer learns why
            raise ConnectionAbortedError(str(error)) from error
        return b"".join(pieces)

    def _push(self) -> None:
        if self._outgoing.pending:
            self._plain.send(self._outgoing.read())

    def send(self, data: bytes) -> bool:
        self._tls.write(data)
        return self._plain.send(self._outgoing.read())

    def flush(self) -> bool:
        return self._plain.flush()
