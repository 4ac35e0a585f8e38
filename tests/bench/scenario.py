"""The load of `wire`'s bench as a scenario: every request a session of one turn."""

from __future__ import annotations

from locust import constant, task

from fmload.locust import OpenAIUser

TOKENS = 128
QUESTION = "word " * 64


class Asker(OpenAIUser):
    """Asks without a pause."""

    wait_time = constant(0)

    @task
    def ask(self) -> None:
        with self.session("one") as chat:
            chat.ask(QUESTION, name="ask", max_tokens=TOKENS)
