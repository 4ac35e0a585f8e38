"""What Locust says at its start of users that all come at once."""

from __future__ import annotations

import logging

_TOO_FAST = "Your selected spawn rate is very high"


def expect_many_at_once() -> None:
    """No warning of a high spawn rate: our users wait for slots, and send nothing when they come."""
    logging.getLogger("locust.runners").addFilter(_no_warning_of_speed)


def _no_warning_of_speed(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_TOO_FAST)
