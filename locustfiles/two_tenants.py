"""Two tenants on one endpoint: many who chat, and a few who send long documents. docs/scenarios.md.

    locust -f locustfiles/two_tenants.py --host http://127.0.0.1:8080/v1 --headless -u 10 -r 5 -t 2m

Each user class is a row of its own in the report's table of requests by task. Where tenants have adapters, give their
calls `model="the-adapter"`; where they have a priority, `priority=1`: every further argument goes into the request.
"""

from __future__ import annotations

from locust import between, constant, tag, task

from fmload.locust import OpenAIUser

DOCUMENT = "The parties agree that the work is done when it has been accepted in writing. " * 40


class Chatter(OpenAIUser):
    """Four of five users: short questions, and short answers."""

    weight = 4
    wait_time = between(0.2, 1)

    @tag("chat")
    @task
    def ask(self) -> None:
        self.client.chat("What is the weather like on Mars?", name="chat", max_tokens=40)


class Lawyer(OpenAIUser):
    """One of five: a long document, and two things to be done with it."""

    weight = 1
    wait_time = constant(1)

    @tag("document")
    @task(3)
    def summarize(self) -> None:
        self.client.chat(f"Summarize:\n{DOCUMENT}", name="summarize", max_tokens=120)

    @tag("document")
    @task(1)
    def compare(self) -> None:
        self.client.chat(f"What is missing in this contract?\n{DOCUMENT}", name="compare", max_tokens=200)
