"""How long a worker may send on one word of its master. Both sides keep to it, so that no load is left of a worker that
was frozen or cut off when the next step begins: the worker sends nothing on an older word, the master waits so long."""

from __future__ import annotations

import time
from collections.abc import Callable

LEASE_S = 10.0
MARGIN_S = 0.5  # the master waits so much longer: two clocks are compared


class Lease:
    """A worker's. `clock` tells its own monotonic instants, in ns; it begins with a word."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._word_ns = clock()

    def renew(self, said_ns: int | None = None) -> None:
        """The master said something at an instant of this worker's clock (None: now). What waited in a queue while the
        worker was frozen is an old word."""
        now_ns = self._clock()
        self._word_ns = max(self._word_ns, min(now_ns, now_ns if said_ns is None else said_ns))

    @property
    def holds(self) -> bool:
        """Whether the worker may send."""
        return self._clock() - self._word_ns <= LEASE_S * 1e9


class Leases:
    """The master's: of its workers, by their last words. Instants of its monotonic clock, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._words: dict[str, float] = {}

    def say(self, worker: str) -> None:
        """The worker is sent a word now."""
        self._words[worker] = self._clock()

    def left_s(self, worker: str) -> float:
        """How long the worker may still send, if it cannot be told to stop."""
        said_s = self._words.get(worker)
        return 0.0 if said_s is None else max(0.0, said_s + LEASE_S + MARGIN_S - self._clock())
