"""One connection: a plain non-blocking socket and one hub watcher for its whole life.

The watcher's callback receives, stamps and hands the bytes on; no greenlet is switched to meanwhile.
"""

from __future__ import annotations

import _socket
import socket
import ssl
from collections.abc import Callable
from time import monotonic_ns, time_ns
from typing import Any, Protocol

from gevent.hub import get_hub

from fmload.wire.clock import ANCILLARY_BYTES, arrival, enable_kernel_stamps
from fmload.wire.exchange import Address
from fmload.wire.opening import opened
from fmload.wire.tls import TlsSession

READ_BYTES = 64 * 1024
# Every read goes here first: a fresh buffer of this size for each would make the allocator tidy up every time. The
# hub's callbacks run one after the other, so that one buffer serves all connections.
_buffer = bytearray(READ_BYTES)
_buffers, _view = [_buffer], memoryview(_buffer)
_READ, _WRITE = 1, 2


class Receiver(Protocol):
    """Where the bytes of the response under way go. `lost` is the peer's end or a reset; nothing comes after.

    `kept` gets several reads at once that were kept elsewhere, the bytes by each read's end, its instant and its lag as
    int64; `look` looks at them, and tells whether the response has ended. `pull` is set to what fetches more of them.
    `each_read`: every read must be told as it comes. `head_only`: the response has no body.
    """

    each_read: bool
    head_only: bool
    max_body_bytes: int
    pull: Callable[[], None]

    def received(self, data: bytes, ns: int, lag_ns: int) -> None: ...

    def kept(self, data: bytes, ends: bytes, instants: bytes, lags: bytes) -> None: ...

    def look(self) -> bool: ...

    def lost(self, reason: str | None) -> None: ...


class AnyConnection(Protocol):
    """What the pool keeps: `Connection` below, or that of the native reader."""

    closed: bool
    on_idle_end: Callable[[Any], None]

    def usable(self) -> bool: ...

    def send(self, payload: bytes, receiver: Receiver) -> int: ...

    def release(self) -> bool: ...

    def close(self) -> None: ...


class StaleConnection(Exception):
    """The peer had closed a kept-alive connection before the request could be written."""


def connected(address: Address, limit_s: float | None = None) -> tuple[_socket.socket, TlsSession | None]:
    """A new socket, which does not block, and the session over it; blocks the greenlet. Raises OSError, and
    ssl.SSLError for what TLS refuses. `limit_s` is shared by the addresses of a name; the caller bounds the whole."""
    way = opened(address, limit_s)
    sock = way.sock
    try:
        if address.tls:
            way.begin_tls(address)
        plain = _socket.socket(sock.family, sock.type, sock.proto, sock.detach())
    finally:
        sock.close()
    plain.setblocking(False)
    return plain, way.tls


def nobody(connection: AnyConnection) -> None:
    """Nobody minds the end of an idle connection."""


class Connection:
    """An open connection, idle while it has no receiver. The peer's end of an idle one is told to `on_idle_end`."""

    def __init__(self, sock: _socket.socket, tls: TlsSession | None, kernel_stamps: bool) -> None:
        if kernel_stamps:
            enable_kernel_stamps(sock)
        self.closed = False
        self.on_idle_end: Callable[[Any], None] = nobody
        self._socket = sock
        self._recvmsg_into = sock.recvmsg_into
        self._tls = tls
        self._receiver: Receiver | None = None
        self._unsent = b""
        loop = get_hub().loop
        # No reference on the loop: idle connections keep no process alive, and while a response is awaited the
        # timer of its deadline does.
        self._reader = loop.io(sock.fileno(), _READ, ref=False)
        self._writer = loop.io(sock.fileno(), _WRITE, ref=False)
        self._reader.start(self._readable)

    def usable(self) -> bool:
        """Whether an idle connection still stands, known or not yet known to the hub."""
        if self.closed:
            return False
        try:
            ended = not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return self._tls is not None and not ended  # under TLS what waits may be a session ticket

    def send(self, payload: bytes, receiver: Receiver) -> int:
        """Write the request as far as the socket takes it now, the rest when it can be taken; never blocks.

        Returns the instant just before the first byte. Raises StaleConnection when the peer has closed already.
        """
        self._receiver = receiver
        self._unsent = self._tls.encrypt(payload) if self._tls else payload
        send_ns = monotonic_ns()
        try:
            self._write()
        except OSError as error:
            self._receiver, self._unsent = None, b""
            raise StaleConnection(error.strerror) from error
        if self._unsent:
            self._writer.start(self._writable)
        return send_ns

    def _write(self) -> None:
        try:
            written = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        self._unsent = b"" if written == len(self._unsent) else self._unsent[written:]

    def _writable(self) -> None:
        try:
            self._write()
        except OSError:  # the reader learns why: an early answer, or a reset
            self._unsent = b""
        if not self._unsent:
            self._writer.stop()

    def release(self) -> bool:
        """The response has ended. False when the connection cannot carry another request."""
        self._receiver = None
        return not self.closed and not self._unsent

    def _readable(self) -> None:
        try:
            size, ancillary, _, _ = self._recvmsg_into(_buffers, ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error.strerror)
            return
        ns, lag_ns = arrival(ancillary, monotonic_ns(), time_ns())
        data = bytes(_view[:size])
        if self._tls is not None and data:
            self._readable_tls(self._tls, data, ns, lag_ns)
        elif self._receiver is not None and data:
            self._receiver.received(data, ns, lag_ns)
        else:  # the peer's end, or a response to nothing
            self._lost(None)

    def _readable_tls(self, tls: TlsSession, data: bytes, ns: int, lag_ns: int) -> None:
        try:
            plain = tls.decrypt(data)
        except ssl.SSLError as error:
            self._lost(str(error))
            return
        if output := tls.pending_output():
            self._unsent += output
            self._writer.start(self._writable)
        unasked = plain and self._receiver is None
        if plain and self._receiver is not None:
            self._receiver.received(plain, ns, lag_ns)
        if (tls.closed or unasked) and not self.closed:
            self._lost(None)

    def _lost(self, reason: str | None) -> None:
        receiver, self._receiver = self._receiver, None
        self.close()
        if receiver is not None:
            receiver.lost(reason)
        else:
            self.on_idle_end(self)

    def close(self) -> None:
        """Close the socket and give the watchers back. A second time does nothing."""
        if self.closed:
            return
        self.closed = True
        for watcher in (self._reader, self._writer):
            watcher.stop()
            watcher.close()
        self._socket.close()
