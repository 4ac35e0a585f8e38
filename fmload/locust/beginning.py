"""The start of a run, where Locust's own would delay it: the wait for workers, and a warning of users that all come at
once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent

logger = logging.getLogger(__name__)

POLL_S = 0.02
TOLD_EVERY_S = 5.0
_TOO_FAST = "Your selected spawn rate is very high"


class Arrival:
    """The workers that a master without a page waits for, in Locust's stead: that looks once a second, and counts those
    that have not greeted and may be refused yet."""

    def __init__(self, options: Any, greeted: Callable[[], int]) -> None:
        """Locust is not to wait (`options.expect_workers`), until `wait` has. To be made before it does: in the `init`
        event."""
        self._options, self._greeted = options, greeted
        self._expected: int = options.expect_workers if options.headless or options.autostart else 0
        self._given = options.expect_workers
        options.expect_workers = 0

    def wait(self) -> str | None:
        """Wait for them; once, for a worker that is lost later is not to come back. What is wrong when they do not come
        in time, else None."""
        self._options.expect_workers = self._given
        expected, self._expected = self._expected, 0
        begun, limit_s = time.monotonic(), self._options.expect_workers_max_wait or float("inf")
        told = 0
        while (greeted := self._greeted()) < expected:
            waited_s = time.monotonic() - begun
            if waited_s > limit_s:
                return f"{greeted} of {expected} workers came within {limit_s:g} s"
            if waited_s > (told + 1) * TOLD_EVERY_S:
                told += 1
                logger.info("waiting for workers: %d of %d are there", greeted, expected)
            gevent.sleep(POLL_S)
        return None


def expect_many_at_once() -> None:
    """No warning of a high spawn rate: our users wait for slots, and send nothing when they come."""
    logging.getLogger("locust.runners").addFilter(_no_warning_of_speed)


def _no_warning_of_speed(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_TOO_FAST)
