"""Retrieval: search in texts of one's own, then a question about what was found. docs/scenarios.md.

    locust -f locustfiles/retrieval.py --host http://127.0.0.1:8080/v1 --headless -u 8 -r 4 -t 2m
"""

from __future__ import annotations

import random
from collections import Counter

from locust import constant_pacing, task

from fmload.locust import OpenAIUser

TEXTS = {
    "refunds": "A refund is paid within ten days. The shop pays for the way back if the goods are broken.",
    "delivery": "Parcels leave on the same day if ordered before noon. Islands take two days more.",
    "warranty": "Broken goods are repaired for two years. Batteries wear out and are not covered.",
    "accounts": "An account is closed within a day of the request. Invoices are kept for ten years.",
}
QUESTIONS = ("When is a refund paid?", "Do islands take longer?", "Are batteries covered?", "How is an account closed?")


def search(question: str, most: int = 2) -> list[str]:
    """The texts that share the most words with the question."""
    words = Counter(question.lower().strip("?").split())
    ranked = sorted(TEXTS.values(), key=lambda text: sum((words & Counter(text.lower().split())).values()))
    return ranked[-most:]


class Customer(OpenAIUser):
    """Asks once a second, whatever the answers take."""

    wait_time = constant_pacing(1)

    @task
    def ask(self) -> None:
        question = random.choice(QUESTIONS)
        with self.session("question") as chat:
            with chat.tool("search"):
                found = "\n".join(search(question))
            chat.ask(f"{found}\n\nBy these rules alone: {question}", name="answer", max_tokens=80)
