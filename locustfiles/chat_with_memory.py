"""A chat with a memory: every turn carries what the server really said before. docs/scenarios.md.

    locust -f locustfiles/chat_with_memory.py --host http://127.0.0.1:8080/v1 --headless -u 8 -r 4 -t 2m
"""

from __future__ import annotations

import random

from locust import between, task

from fmload.locust import OpenAIUser

QUESTIONS = ("What is a prefix cache?", "And when does it help?", "What does it cost?", "How do I measure that?",
             "Is there a catch?", "Say it in one sentence.")


class Person(OpenAIUser):
    """Comes back again and again, and asks for as long as it is curious."""

    wait_time = between(0.5, 2)  # between two conversations

    @task
    def talk(self) -> None:
        with self.session("chat", system="You are a patient teacher. Answer briefly.") as chat:
            for question in QUESTIONS[:random.randint(2, len(QUESTIONS))]:
                if not chat.ask(question, name="ask", max_tokens=120).ok:
                    return
                chat.think(random.expovariate(1 / 0.5))  # reads the answer, types the next question
