"""Putting a worker's monotonic clock on the master's line: NTP's four instants, the least delayed exchange wins."""

from __future__ import annotations

import socket
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

KEPT_SAMPLES = 64  # about a minute of pings: clocks drift some 10 µs in that time, less than a LAN's jitter


@dataclass(frozen=True, slots=True)
class Offset:
    """Worker's clock minus master's clock, and the half-width of the interval that is sure to hold it."""

    offset_ns: int
    uncertainty_ns: int


@dataclass(slots=True)
class OffsetFilter:
    """Keeps the last pings of one worker; `best` is the one with the shortest time on the way (min-filter).

    `same_clock`: both processes read one kernel's clock, so that the offset is 0 without measuring.
    """

    same_clock: bool = False
    _samples: deque[Offset] = field(default_factory=lambda: deque(maxlen=KEPT_SAMPLES))

    def add(self, sent_ns: int, received_ns: int, answered_ns: int, returned_ns: int) -> None:
        """One ping: sent and returned on the master's clock, received and answered on the worker's."""
        offset = ((received_ns - sent_ns) + (answered_ns - returned_ns)) // 2
        on_the_way = (returned_ns - sent_ns) - (answered_ns - received_ns)
        self._samples.append(Offset(offset, max(0, on_the_way) // 2))

    def best(self) -> Offset | None:
        """The estimate, or None before the first ping came back."""
        if self.same_clock:
            return Offset(0, 0)
        return min(self._samples, key=lambda sample: sample.uncertainty_ns, default=None)


def boot_id() -> str:
    """What tells whether two processes share CLOCK_MONOTONIC: the kernel's boot, and its time namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/time').readlink()}"
    except OSError:
        return _boot_time()


def _boot_time() -> str:
    """Where there is no /proc: when the machine was started. Empty where that is not told, either."""
    import psutil

    try:
        return f"started {psutil.boot_time():.0f}"
    except (OSError, RuntimeError):
        return ""



def host_name() -> str:
    """This machine's name, as workers compare it."""
    return socket.gethostname()
