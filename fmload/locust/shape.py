"""The load shape: asks Locust for the users that the controller wants; the controller keeps the time."""

from __future__ import annotations

from locust import LoadTestShape


class StageShape(LoadTestShape):
    """Locust's view of a run. -u, -r and -t are read where no run file and no sweep are given."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """The users wanted now; blocks until that changes, a second at most. None ends the test."""
        assert self.runner is not None
        return self.runner.environment.fmload.tick()  # type: ignore[no-any-return, attr-defined]
