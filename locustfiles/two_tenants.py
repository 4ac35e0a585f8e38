"""Two tenants on one endpoint: many who chat, and a few who send long documents. docs/scenarios.md.

    locust -f locustfiles/two_tenants.py --host http://127.0.0.1:8080/v1 --headless -u 10 -r 5 -t 2m

Each user class asks on behalf of a tenant, which has a row of its own in the report's section of tenants. With a run
file (`--fmload-config`) that has `tenants` of these names, their adapters, headers, priorities and objectives are those
that it says; without one, every further argument of a call goes into the request: `model="the-adapter"`, `priority=1`.
"""

from __future__ import annotations

from locust import between, constant, tag, task

from fmload.locust import OpenAIUser

DOCUMENT = "The parties agree that the work is done when it has been accepted in writing. " * 40


class Chatter(OpenAIUser):
    """Four of five users: short questions, and short answers."""

    tenant = "chatters"
    weight = 4
    wait_time = between(0.2, 1)

    @tag("chat")
    @task
    def ask(self) -> None:
        self.client.chat("What is the weather like on Mars?", name="chat", max_tokens=40)


class Lawyer(OpenAIUser):
    """One of five: a long document, and two things to be done with it."""

    tenant = "lawyers"
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
