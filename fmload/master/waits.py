"""Waits of a run's master that an interruption ends. Every wait has a limit."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
from gevent.event import Event

POLL_S = 0.02


class Interrupted(Exception):
    """The run is to end now; what was measured is kept."""


class Waits:
    """How one run waits. `reason` says why it is to end early, once it is; `exit_code` what it then ends with."""

    def __init__(self) -> None:
        self.reason = ""
        self.exit_code: int | None = None
        self.whole_drain = False  # an interruption lets requests under way end as a stage's own end does
        self.counts = False  # a person ended the stage that is on: it is measured up to there
        self._interrupt = Event()

    def interrupt(self, reason: str, exit_code: int | None = None, counts: bool = False) -> None:
        """End every interruptible wait, now and from now on. The first reason and exit code stand."""
        self.counts = counts and not self.reason
        self.reason = self.reason or reason
        self.exit_code = self.exit_code or exit_code
        self._interrupt.set()

    def sleep(self, seconds: float) -> None:
        """Sleep. Raises Interrupted."""
        if self._interrupt.wait(timeout=seconds):
            raise Interrupted

    def until(self, done: Callable[[], bool], limit_s: float, interruptible: bool = True) -> bool:
        """Wait until `done()`; False at the limit. Raises Interrupted where that is allowed."""
        limit = time.monotonic() + limit_s
        while not done():
            if interruptible and self._interrupt.is_set():
                raise Interrupted
            if time.monotonic() >= limit:
                return False
            gevent.sleep(POLL_S)
        return True
