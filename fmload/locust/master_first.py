"""The workers of one host begin when their master listens: one that looked for it before would look again after 0.1 to
0.2 s, which is ZeroMQ's own pause.

A pipe says so by its end: whoever holds its writing end has yet to listen, or is gone.
"""

from __future__ import annotations

import os

from gevent.monkey import get_original

_close = get_original("os", "close")  # gevent's own is done when its loop runs, which it does not yet
_held: int | None = None


class MasterFirst:
    """Of the processes that are forked from this one: each is one of the two."""

    def __init__(self) -> None:
        self._ended, self._open = os.pipe()

    def as_master(self) -> None:
        """This process lets the others begin, by `listening` or by its end."""
        global _held
        _close(self._ended)
        _held = self._open

    def as_worker(self) -> None:
        """Wait until the master listens, or is gone; not at all where there is none."""
        _close(self._open)
        os.read(self._ended, 1)
        _close(self._ended)


def listening() -> None:
    """The master listens: the workers that wait for it begin, if there are any."""
    global _held
    if _held is not None:
        _close(_held)
        _held = None
