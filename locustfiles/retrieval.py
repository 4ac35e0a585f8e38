r"""Retrieval: the question becomes a vector, the nearest texts are found, a question about them. docs/scenarios.md.

    locust -f locustfiles/retrieval.py --host http://127.0.0.1:8080/v1 --fmload-embed-model all-minilm --headless \
        -u 8 -r 4 -t 2m
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from locust import constant_pacing, task

from fmload.locust import OpenAIUser

TEXTS = (
    "A refund is paid within ten days. The shop pays for the way back if the goods are broken.",
    "Parcels leave on the same day if ordered before noon. Islands take two days more.",
    "Broken goods are repaired for two years. Batteries wear out and are not covered.",
    "An account is closed within a day of the request. Invoices are kept for ten years.",
)
QUESTIONS = ("When is a refund paid?", "Do islands take longer?", "Are batteries covered?", "How is an account closed?")


def nearness(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of the angle between two vectors."""
    return sum(map(float.__mul__, one, other)) / (math.hypot(*one) * math.hypot(*other) or 1.0)


class Customer(OpenAIUser):
    """Asks once a second, whatever the answers take."""

    wait_time = constant_pacing(1)
    index: list[list[float]] | None = None

    def nearest(self, vector: Sequence[float], most: int = 2) -> list[str]:
        """The texts whose vectors are the nearest."""
        ranked = sorted(zip(TEXTS, self.index or (), strict=True), key=lambda pair: nearness(pair[1], vector))
        return [text for text, _ in ranked[-most:]]

    @task
    def ask(self) -> None:
        self.index = self.index or self.client.embed(TEXTS, name="index").vectors  # once a user: 4 texts in a request
        question = random.choice(QUESTIONS)
        with self.session("question") as chat:
            asked = self.client.embed(question, name="embed")
            with chat.tool("search"):
                found = self.nearest(asked.vectors[0]) if self.index and asked.ok else TEXTS[:2]
            chat.ask("\n".join([*found, "", f"By these rules alone: {question}"]), name="answer", max_tokens=80)
