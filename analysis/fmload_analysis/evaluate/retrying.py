"""Which failures of a judge may pass, and how long to wait for that."""

from __future__ import annotations

import random
from collections.abc import Mapping

LONGEST_WAIT_S = 60.0
PASSING = {"throttled", "http_5xx", "connect", "timeout_connect", "timeout_first_token", "timeout_idle",
           "timeout_total", "stream_error", "truncated"}


def wait_s(attempt: int, backoff_s: float, headers: Mapping[str, str]) -> float:
    """Seconds before the next attempt: what the server asks for (Retry-After), else doubled each time, the upper half
    of it drawn; a minute at most."""
    try:
        asked = float(headers.get("retry-after", ""))
    except ValueError:  # absent, or a date
        asked = backoff_s * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.0)
    return min(max(asked, 0.0), LONGEST_WAIT_S)
