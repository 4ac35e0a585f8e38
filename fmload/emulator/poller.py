"""Which sockets are ready: by epoll where the system has it, else by poll."""

from __future__ import annotations

import math
import select
import time
from typing import Protocol

READ, WRITE = 1, 4  # POLLIN and POLLOUT; epoll has the same


class Poller(Protocol):
    """Watches descriptors for READ and WRITE."""

    def register(self, descriptor: int, events: int, /) -> None: ...

    def modify(self, descriptor: int, events: int, /) -> None: ...

    def unregister(self, descriptor: int, /) -> None: ...

    def wait(self, limit_ns: int | None) -> list[tuple[int, int]]:
        """(descriptor, events) of those that are ready, as soon as there are any; none after `limit_ns`."""

    def close(self) -> None: ...


def poller() -> Poller:
    """The best that this system has."""
    return ByEpoll() if hasattr(select, "epoll") else ByPoll()


class ByEpoll:
    """Linux. To some ten microseconds: epoll's own time-out counts whole milliseconds, select() on its descriptor
    microseconds."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.register, self.modify, self.unregister = self._epoll.register, self._epoll.modify, self._epoll.unregister
        self.close = self._epoll.close

    def wait(self, limit_ns: int | None) -> list[tuple[int, int]]:
        if limit_ns is None:
            return self._epoll.poll()
        if limit_ns > 2_000_000:
            return self._epoll.poll((limit_ns - 1_000_000) // 1_000_000 / 1000)
        if limit_ns > 0 and not select.select([self._epoll], (), (), limit_ns * 1e-9)[0]:
            return []
        return self._epoll.poll(0)


class ByPoll:
    """Everywhere else. Whole milliseconds; what is left of one is slept."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register, self.modify, self.unregister = self._poll.register, self._poll.modify, self._poll.unregister

    def wait(self, limit_ns: int | None) -> list[tuple[int, int]]:
        if limit_ns is None:
            return self._poll.poll()
        found = self._poll.poll(max(0, math.floor(limit_ns / 1e6)))
        if not found and 0 < limit_ns < 1_000_000:
            time.sleep(limit_ns * 1e-9)
            found = self._poll.poll(0)
        return found

    def close(self) -> None:
        """There is nothing to give back."""
