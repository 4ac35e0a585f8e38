"""How a request ended: ok, or one kind of failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal[
    "ok", "connect", "tls", "timeout_connect", "timeout_first_token", "timeout_idle", "timeout_total", "http_4xx",
    "throttled", "http_5xx", "stream_error", "truncated", "decode", "empty", "cancelled", "censored", "blocked",
    "client",
]
# The client's own doing, neither success nor failure of the endpoint: given up on purpose, or our own breakdown (which
# fails the audit instead).
NEITHER: tuple[Outcome, ...] = ("cancelled", "client")


# A record's remark of a request that went out twice; the record is of the second sending.
SENT_AGAIN = "sent a second time: its kept-alive connection was closed without a byte"


@dataclass(slots=True)
class Failure:
    """Why an exchange did not end well: an outcome of measurement.md and a message fit for people."""

    outcome: Outcome
    message: str
