"""Connections whose bytes a thread of `_native_reader.c` receives, stamps and keeps, without the interpreter.

The hub is woken when a response has ended, or a connection. What must be looked at sooner (an answer that may be given
up, a head that is out of the ordinary, TLS) is told at each read and taken as the reader in Python takes it: a burst
of reads with one wake. Whoever wants to know more in between (a deadline, the live view) pulls.
"""

from __future__ import annotations

import _socket
import os
import ssl
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from gevent.hub import Hub, get_hub

from fmload.wire.connection import Receiver, StaleConnection, nobody
from fmload.wire.tls import TlsSession

try:
    from fmload.wire import _native_reader as native
    WHY_NOT = ""
except ImportError as missing:  # no compiler where it was installed, or another system than Linux
    native = None  # type: ignore[assignment]
    WHY_NOT = str(missing)

# How long the thread waits after each round once more than 4,000 reads a second come: the stamps are the kernel's, and
# one wake serves several connections. Tokens of one stream that are nearer to each other than this may be read at once.
PAUSE_NS = 200_000
_READ = 1
_hubs: WeakKeyDictionary[Hub, _HubReader] = WeakKeyDictionary()


class _HubReader:
    """The thread of one hub, and whose bytes it receives."""

    def __init__(self, hub: Hub) -> None:
        self._reader = native.Reader(PAUSE_NS)
        self._owners: dict[native.Connection, NativeConnection] = {}
        # No reference on the loop: what is awaited has the timer of its deadline.
        self._watcher = hub.loop.io(self._reader.fileno(), _READ, ref=False)
        self._watcher.start(self._ready)

    @property
    def runs(self) -> bool:
        """Whether its thread is in this process: not after a fork."""
        return self._reader.runs()

    def take_over(self, owner: NativeConnection, fd: int, stamps: bool, told: bool) -> native.Connection:
        connection = self._reader.connection(fd, stamps, told)
        self._owners[connection] = owner
        return connection

    def forget(self, connection: native.Connection) -> None:
        del self._owners[connection]

    def _ready(self) -> None:
        for connection in self._reader.ready():
            owner = self._owners.get(connection)
            if owner is not None:  # not closed on behalf of one before it
                owner.pull()


def _of_this_hub() -> _HubReader:
    """The hub's reader, made with its first connection. Raises OSError where no thread can be had."""
    hub = get_hub()
    found = _hubs.get(hub)
    if found is None or not found.runs:
        found = _hubs[hub] = _HubReader(hub)
    return found


class NativeConnection:
    """An open connection, as `fmload.wire.connection.Connection` is one. It takes the socket over. Raises OSError."""

    def __init__(self, sock: _socket.socket, tls: TlsSession | None, kernel_stamps: bool) -> None:
        self.closed = False
        self.on_idle_end: Callable[[Any], None] = nobody
        self._tls = tls
        self._receiver: Receiver | None = None
        self._kept = False  # some bytes were taken that nobody has looked at
        self._hub = _of_this_hub()
        self._native = self._hub.take_over(self, sock.fileno(), kernel_stamps, tls is not None)
        sock.detach()

    def usable(self) -> bool:
        """Whether an idle connection still stands, known or not yet known to the hub."""
        return not self.closed and self._native.usable()

    def send(self, payload: bytes, receiver: Receiver) -> int:
        """Write the request as far as the socket takes it now, the thread the rest; never blocks.

        Returns the instant just before the first byte. Raises StaleConnection when the peer has closed already.
        """
        data = self._tls.encrypt(payload) if self._tls is not None else payload
        try:
            send_ns = self._native.send(data, receiver.each_read, receiver.head_only, receiver.max_body_bytes)
        except OSError as error:
            raise StaleConnection(error.strerror) from error
        self._kept = False
        self._receiver = receiver
        receiver.pull = self.pull
        return send_ns

    def pull(self) -> None:
        """Take what has come, and tell the receiver."""
        if self.closed:
            return
        try:
            data, ends, instants, lags, flags, error = self._native.take()
        except OSError as gone:
            self._lost(str(gone))
            return
        if isinstance(data, list):
            self._tell_each(data)
        elif data and self._receiver is not None:
            self._keep(self._receiver, data, ends, instants, lags, flags)
        if flags & (native.CLOSED | native.UNASKED):
            self._lost(os.strerror(error) if error else None)

    def _keep(self, receiver: Receiver, data: bytes, ends: bytes, instants: bytes, lags: bytes, flags: int) -> None:
        self._kept = True
        receiver.kept(data, ends, instants, lags)
        if flags & native.WHOLE and not receiver.look() and self._native.tell():
            self.pull()  # the parser knows better: it is told of each read from now on

    def _tell_each(self, reads: list[tuple[bytes, int, int]]) -> None:
        if self._kept and reads and self._receiver is not None:
            self._receiver.look()
            self._kept = False
        for data, ns, lag_ns in reads:
            if self._tls is not None:
                self._tell_decrypted(self._tls, data, ns, lag_ns)
            elif self._receiver is not None:
                self._receiver.received(data, ns, lag_ns)
            if self.closed:
                return

    def _tell_decrypted(self, tls: TlsSession, data: bytes, ns: int, lag_ns: int) -> None:
        try:
            plain = tls.decrypt(data)
        except ssl.SSLError as error:
            self._lost(str(error))
            return
        if output := tls.pending_output():
            self._native.write(output)
        unasked = plain and self._receiver is None
        if plain and self._receiver is not None:
            self._receiver.received(plain, ns, lag_ns)
        if tls.closed or unasked:
            self._lost(None)

    def release(self) -> bool:
        """The response has ended. False when the connection cannot carry another request."""
        if self._receiver is not None:
            self._receiver.pull = nothing
        self._receiver = None
        return not self.closed and self._native.release()

    def _lost(self, reason: str | None) -> None:
        if self.closed:
            return
        receiver, self._receiver = self._receiver, None
        self.close()
        if receiver is not None:
            receiver.lost(reason)
        else:
            self.on_idle_end(self)

    def close(self) -> None:
        """Close the socket. A second time does nothing."""
        if not self.closed:
            self.closed = True
            self._hub.forget(self._native)
            self._native.close()


def nothing() -> None:
    """Nothing is kept elsewhere."""
