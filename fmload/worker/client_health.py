"""How well the client itself is doing: every second, what could spoil a measurement without being seen in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent
import psutil

from fmload.model.record import Record

TICK_S = 0.005  # how often the loop is asked to be on time
PERIOD_S = 1.0


def percentile_ns(values: Iterable[int], q: float) -> int:
    """The nearest-rank percentile; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0


class ClientHealth:
    """Samples of one worker: loop lag, CPU, memory, lag of stamps and of sends. `drain` gives the finished seconds.

    `in_flight` tells how many requests are under way now.
    """

    def __init__(self, in_flight: Callable[[], int]) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()
        psutil.cpu_percent()  # the first answer of both is no figure
        self._loop_lag: list[int] = []
        self._stamp_lag: list[int] = []
        self._send_late: list[int] = []
        self._samples: list[dict[str, Any]] = []
        self._in_flight = in_flight
        self.stamp: str | None = None  # of the last response: kernel or user

    def watch(self) -> None:
        """Run for ever in a greenlet of its own: sleep a little, see how late it was, sum up each second."""
        begun = time.monotonic()
        while True:
            due = time.monotonic_ns() + int(TICK_S * 1e9)
            gevent.sleep(TICK_S)
            self._loop_lag.append(max(0, time.monotonic_ns() - due))
            if time.monotonic() - begun >= PERIOD_S:
                begun = time.monotonic()
                self._samples.append(self._sample())

    def observe(self, record: Record) -> None:
        """Count one finished request: how late its bytes were stamped, how late it was sent."""
        if record.reads:
            self._stamp_lag.append(record.lag_max_ns)
            self.stamp = record.stamp
        if record.send_ns is not None:
            self._send_late.append(max(0, record.send_ns - record.scheduled_ns))

    def drain(self) -> list[dict[str, Any]]:
        """The samples since the last call."""
        samples, self._samples = self._samples, []
        return samples

    def _sample(self) -> dict[str, Any]:
        loop, self._loop_lag = self._loop_lag, []
        stamp, self._stamp_lag = self._stamp_lag, []
        late, self._send_late = self._send_late, []
        return {
            "at_ns": time.monotonic_ns(),
            "loop_lag_p50_ns": percentile_ns(loop, 0.5), "loop_lag_p99_ns": percentile_ns(loop, 0.99),
            "loop_lag_max_ns": max(loop, default=0),
            "cpu_fraction": self._process.cpu_percent() / 100, "rss_bytes": self._process.memory_info().rss,
            "host_cpu_fraction": psutil.cpu_percent() / 100,
            "in_flight": self._in_flight(),
            "stamp_lag_p50_ns": percentile_ns(stamp, 0.5), "stamp_lag_p99_ns": percentile_ns(stamp, 0.99),
            "stamp_lag_max_ns": max(stamp, default=0),
            "send_late_p99_ns": percentile_ns(late, 0.99),
        }
