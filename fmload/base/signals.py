"""Signals that interrupt a command, one rule for all of them.

Ctrl-C, a `kill` (SIGTERM) and a lost terminal (SIGHUP) are the same: KeyboardInterrupt, on which the command ends in
order, with the exit code EXIT_INTERRUPTED. One that the process was started to ignore, as `nohup` has it, stays so.
What takes a moment is not cut short; what may take long is, by a second Ctrl-C. All of it is for the main thread, to
which Python gives its signals; in another one the blocks do nothing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)
INTERRUPTING = (signal.SIGINT, *ENDING)

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def as_interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP interrupt the block as Ctrl-C does."""
    with _handled(dict.fromkeys(ENDING, _interrupt)):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """What interrupts does nothing inside: for the end of something, which comes soon."""
    with _handled(dict.fromkeys(INTERRUPTING, _nothing)):
        yield


@contextmanager
def interrupted_after() -> Iterator[None]:
    """What interrupts inside does so at the end of the block: what is begun here is soon done, and known then. So are
    processes that fork: in the middle of that Python would drop the interruption."""
    came: list[int] = []
    try:
        with _handled(dict.fromkeys(INTERRUPTING, lambda number, frame: came.append(number))):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])


@contextmanager
def interrupted_by_a_second(answer: Callable[[], object]) -> Iterator[None]:
    """A first Ctrl-C inside calls `answer`, which says what a second one does: that interrupts. SIGTERM and SIGHUP do
    nothing."""
    asked = False

    def ctrl_c(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        answer()

    with _handled({signal.SIGINT: ctrl_c, **dict.fromkeys(ENDING, _nothing)}):
        yield


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _nothing(number: int, frame: FrameType | None) -> None:
    return


@contextmanager
def _handled(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()
              if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, kept in before.items():
            signal.signal(number, signal.SIG_DFL if kept is None else kept)  # None: not set from Python
