"""Load shapes of a locustfile's own, looked through before the run and followed in it. No Locust here."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

LIMIT_S = 24 * 3600


class Foreseen(NamedTuple):
    """What a shape will ask for: the most users at a time, and for how long (None: it does not end within a day)."""

    users: int
    seconds: int | None


def foresee(shape: Any) -> Foreseen:
    """A shape's ticks ahead of time, by a copy of it whose clock is set forward second by second. One that looks at
    anything but its run time may do otherwise in the run."""
    probe, most = copy.copy(shape), 0
    for second in range(LIMIT_S):
        probe.get_run_time = lambda second=second: float(second)
        asked = probe.tick()
        if asked is None:
            return Foreseen(most, second)
        most = max(most, int(asked[0]))
    return Foreseen(most, None)


class Follower:
    """A shape in one run: its clock begins with the first tick, and what it asked for last holds when it has ended."""

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs
        self._asked: Any = None

    def tick(self, runner: Any) -> Any:
        """The users that the shape wants now."""
        if self._asked is None:
            self._theirs.runner = runner
            self._theirs.reset_time()
        self._asked = self._theirs.tick() or self._asked or (0, 1.0)
        return self._asked
