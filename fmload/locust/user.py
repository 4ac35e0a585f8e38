"""The Locust user: asks its worker for a slot, sends one request, and again."""

from __future__ import annotations

from functools import partial

from locust import User, constant, task

from fmload.locust.idle import idle


class PromptUser(User):
    """A user of whatever endpoints the run names. `protocol` is what a run without a run file speaks."""

    abstract = True
    protocol = "openai"
    wait_time = constant(0)

    @task
    def request(self) -> None:
        """One request, from the slot to the record."""
        self.environment.fmload.worker.serve_one(partial(idle, self))
