"""What Locust does at its start that would delay a run: it looks for its workers once a second, and warns of users that
all come at once."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace
from typing import Any

import gevent
import locust.main

POLL_S = 0.02
_TOO_FAST = "Your selected spawn rate is very high"


def await_workers_closely(runner: Any, expected: int) -> None:
    """Locust's main sleeps a second between two looks whether `expected` workers are ready; here its sleep ends as soon
    as they are."""

    def sleep(seconds: float) -> None:
        limit = time.monotonic() + seconds
        while (left_s := limit - time.monotonic()) > 0:
            gevent.sleep(min(POLL_S, left_s))
            if len(runner.clients.ready) >= expected:
                return

    vars(locust.main)["time"] = SimpleNamespace(**{**vars(time), "sleep": sleep})


def expect_many_at_once() -> None:
    """No warning of a high spawn rate: our users wait for slots, and send nothing when they come."""
    logging.getLogger("locust.runners").addFilter(_no_warning_of_speed)


def _no_warning_of_speed(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_TOO_FAST)
