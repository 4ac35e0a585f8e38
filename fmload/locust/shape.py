"""The load shape: asks Locust for the users that the controller wants; the controller keeps the time."""

from __future__ import annotations

from typing import Any

from locust import LoadTestShape

from fmload.locust.foreseen import Follower


class StageShape(LoadTestShape):
    """Locust's view of a run. -u, -r and -t are read where no run file and no sweep are given."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """The users wanted now; blocks until that changes, a second at most. None ends the test."""
        assert self.runner is not None
        return self.runner.environment.fmload.tick()  # type: ignore[no-any-return, attr-defined]


class FollowedShape(LoadTestShape):
    """A shape of the locustfile's own: it says how many users there are in a stage, and fmload when that is on."""

    def __init__(self, theirs: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.theirs = theirs
        self._follower = Follower(theirs)

    @property
    def use_common_options(self) -> bool:  # type: ignore[override]
        return bool(self.theirs.use_common_options)

    def reset_time(self) -> None:
        """Another run begins."""
        self._follower = Follower(self.theirs)

    def tick(self) -> Any:
        """The users that the shape wants now; those of its last tick once it has ended, until the stage has, too."""
        assert self.runner is not None
        if self.runner.environment.fmload.tick() is None:  # type: ignore[attr-defined]
            return None
        return self._follower.tick(self.runner)
