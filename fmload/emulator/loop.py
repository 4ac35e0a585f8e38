"""The loop: sockets that are ready, timers that are due, and one step of work between."""

from __future__ import annotations

import heapq
import socket
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

from fmload.emulator.poller import READ, WRITE, poller


class Watched(Protocol):
    """Something with a socket that the loop watches."""

    socket: socket.socket

    def on_event(self, events: int) -> None: ...

    def drop(self) -> None: ...


class Loop:
    """A poller and a heap of timers. One thread; `stop` alone may be called from a signal handler."""

    def __init__(self) -> None:
        self._poller = poller()
        self._woken, self._wake = socket.socketpair()  # ends the wait when the loop is told to stop
        self._poller.register(self._woken.fileno(), READ)
        self._watched: dict[int, Watched] = {}
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._listener: socket.socket | None = None
        self._on_accept: Callable[[socket.socket], None] = lambda sock: sock.close()
        self._stopping = False

    def run(self, due_ns: Callable[[], int | None], step: Callable[[int], None]) -> None:
        """Serves until `stop`. `step(now_ns)` is called in every turn, at the latest at `due_ns()`."""
        while not self._stopping:
            for descriptor, events in self._wait(due_ns()):
                watched = self._watched.get(descriptor)
                if watched is not None:
                    watched.on_event(events)
                elif self._listener is not None and descriptor == self._listener.fileno():
                    self._accept(self._listener)
            now_ns = time.monotonic_ns()
            while self._timers and self._timers[0][0] <= now_ns:
                heapq.heappop(self._timers)[2]()
            step(now_ns)

    def stop(self) -> None:
        """Ends `run` after the present turn."""
        self._stopping = True
        self._wake.send(b"\0")

    def at(self, due_ns: int, call: Callable[[], None]) -> None:
        """Calls back at `due_ns`; in the order of asking when due at the same instant."""
        heapq.heappush(self._timers, (due_ns, next(self._order), call))

    def listen(self, listener: socket.socket, on_accept: Callable[[socket.socket], None]) -> None:
        """Hands every new connection to `on_accept`."""
        self._listener, self._on_accept = listener, on_accept
        self._poller.register(listener.fileno(), READ)

    def stop_listening(self) -> None:
        """From now on connections are refused."""
        if self._listener is not None:
            self._poller.unregister(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def add(self, watched: Watched) -> None:
        """Begins to watch for bytes to read."""
        self._watched[watched.socket.fileno()] = watched
        self._poller.register(watched.socket.fileno(), READ)

    def watch(self, watched: Watched, writes: bool) -> None:
        """Watches for room to write, too, or no longer."""
        self._poller.modify(watched.socket.fileno(), READ | (WRITE if writes else 0))

    def remove(self, watched: Watched) -> None:
        """Stops watching; to be called before the socket is closed."""
        descriptor = watched.socket.fileno()
        self._poller.unregister(descriptor)
        del self._watched[descriptor]

    def close(self) -> None:
        """Drops everything watched, and stops listening."""
        for watched in list(self._watched.values()):
            watched.drop()
        self.stop_listening()
        self._poller.close()
        self._woken.close()
        self._wake.close()

    def _wait(self, due_ns: int | None) -> list[tuple[int, int]]:
        """Ready sockets, waiting no longer than until the next thing is due."""
        if self._timers and (due_ns is None or self._timers[0][0] < due_ns):
            due_ns = self._timers[0][0]
        return self._poller.wait(None if due_ns is None else due_ns - time.monotonic_ns())

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):  # and then back to the tokens that are due
            try:
                sock, _address = listener.accept()
            except OSError:  # nothing more to accept, a client that left, or no descriptor free: try again later
                return
            sock.setblocking(False)
            self._on_accept(sock)
