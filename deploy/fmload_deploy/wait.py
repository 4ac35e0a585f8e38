"""Waiting, with a limit, progress, and an ear for the interrupt."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from fmload.base.errors import EXIT_INTERRUPTED, FmloadError
from fmload.base.units import format_duration
from fmload_deploy.base import Context

Value = TypeVar("Value")
_TELL_EVERY_S = 30.0


def wait_for(what: str, check: Callable[[], Value | None], context: Context, limit_s: float, every_s: float,
             hint: str | None = None) -> Value:
    """The first value of `check` that is not None. Raises FmloadError at the limit and when the run is interrupted."""
    start = told = time.monotonic()
    while (value := check()) is None:
        now = time.monotonic()
        if now - start >= limit_s:
            raise FmloadError(f"{what}: not after {format_duration(limit_s)}", hint=hint)
        if now - told >= _TELL_EVERY_S:
            told = now
            context.say(f"{what}: waiting since {format_duration(now - start)}")
        if context.stop.wait(min(every_s, limit_s)):
            raise FmloadError(f"{what}: interrupted", exit_code=EXIT_INTERRUPTED)
    return value
