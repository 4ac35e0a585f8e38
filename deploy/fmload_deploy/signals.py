"""Signals that end a run: a lost terminal and a `kill` are a Ctrl-C, and none of them cuts a teardown short."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def as_interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP interrupt the block as Ctrl-C does; what is ignored (nohup) stays so. Main thread only."""
    with _handled({number: _interrupt for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN}):
        yield


@contextmanager
def undisturbed(say: Callable[[str], None], left: str) -> Iterator[None]:
    """The block is not interrupted by SIGTERM, SIGHUP or a first Ctrl-C, which is answered with `left`; by a second."""
    asked = False

    def once(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        say(f"still deleting; Ctrl-C again leaves the rest as it is: {left}")

    with _handled({signal.SIGINT: once, **dict.fromkeys(_ENDING, _nothing)}):
        yield


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _nothing(number: int, frame: FrameType | None) -> None:
    return


@contextmanager
def _handled(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
