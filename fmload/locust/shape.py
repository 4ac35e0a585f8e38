"""The load shape: asks Locust for the users that the controller wants; the controller keeps the time."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from locust import LoadTestShape

LIMIT_S = 24 * 3600


class StageShape(LoadTestShape):
    """Locust's view of a run. -u, -r and -t are read where no run file and no sweep are given."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """The users wanted now; blocks until that changes, a second at most. None ends the test."""
        assert self.runner is not None
        return self.runner.environment.fmload.tick()  # type: ignore[no-any-return, attr-defined]


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


class FollowedShape(LoadTestShape):
    """A shape of the locustfile's own: it says how many users there are in a stage, and fmload when that is on."""

    def __init__(self, theirs: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.theirs = theirs
        self._asked: Any = None

    @property
    def use_common_options(self) -> bool:  # type: ignore[override]
        return bool(self.theirs.use_common_options)

    def reset_time(self) -> None:
        """Another run begins."""
        self._asked = None

    def tick(self) -> Any:
        """The users that the shape wants now; those of its last tick once it has ended, until the stage has, too."""
        assert self.runner is not None
        if self.runner.environment.fmload.tick() is None:  # type: ignore[attr-defined]
            return None
        if self._asked is None:
            self.theirs.runner = self.runner
            self.theirs.reset_time()
        self._asked = self.theirs.tick() or self._asked or (0, 1.0)
        return self._asked
