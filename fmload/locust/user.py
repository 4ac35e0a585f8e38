"""The Locust user: asks its worker for a slot, sends one request, and again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from locust import User, constant, task
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_WAITING


class PromptUser(User):
    """A user of whatever endpoints the run names. `protocol` is what a run without a run file speaks."""

    abstract = True
    protocol = "openai"
    wait_time = constant(0)

    @task
    def request(self) -> None:
        """One request, from the slot to the record."""
        self.environment.fmload.worker.serve_one(self._idle)

    @contextmanager
    def _idle(self) -> Iterator[None]:
        # As in TaskSet.wait: a user in this state is stopped at once, not after its task.
        self._state = LOCUST_STATE_WAITING
        try:
            yield
        finally:
            self._state = LOCUST_STATE_RUNNING
