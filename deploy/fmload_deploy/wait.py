"""Waiting, with a limit, progress, and an ear for the interrupt."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from fmload.base.errors import EXIT_INTERRUPTED, FmloadError
from fmload.base.units import format_duration
from fmload_deploy.aws import Busy
from fmload_deploy.base import Context

Value = TypeVar("Value")
RETRY_LIMIT_S = 300.0
_TELL_EVERY_S = 30.0


def wait_for(what: str, check: Callable[[], Value | None], context: Context, limit_s: float, every_s: float,
             hint: str | None = None) -> Value:
    """The first value of `check` that is not None; a check that finds AWS Busy is made again.

    Raises FmloadError at the limit (with what kept AWS busy, if it was), and when the run is interrupted.
    """
    start = told = time.monotonic()
    while True:
        value, trouble = _looked(check)
        if value is not None:
            return value
        now = time.monotonic()
        if now - start >= limit_s:
            raise FmloadError(f"{what}: not after {format_duration(limit_s)}"
                              + (f"; {trouble.message}" if trouble else ""),
                              hint=hint or (trouble.hint if trouble else None))
        if now - told >= _TELL_EVERY_S:
            told = now
            context.say(f"{what}: waiting since {format_duration(now - start)}"
                        + (f"; {trouble.message}" if trouble else ""))
        if context.stop.wait(min(every_s, limit_s)):
            raise FmloadError(f"{what}: interrupted", exit_code=EXIT_INTERRUPTED)


def retried(what: str, call: Callable[[], Value], context: Context, every_s: float,
            limit_s: float = RETRY_LIMIT_S) -> Value:
    """What `call` returns, called again while AWS is Busy. Raises FmloadError at the limit."""
    return wait_for(what, lambda: (call(),), context, limit_s, every_s)[0]


def _looked(check: Callable[[], Value | None]) -> tuple[Value | None, Busy | None]:
    try:
        return check(), None
    except Busy as error:
        return None, error
