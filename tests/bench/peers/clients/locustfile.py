"""One load by Locust and the openai SDK: users that ask until so many requests are made."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import gevent
import openai
from locust import User, constant, events, task
from locust.exception import StopUser

seen: list[dict[str, Any]] = []
begun: list[float] = []
ended: list[float] = []


@events.init_command_line_parser.add_listener
def options(parser: Any) -> None:
    """What the load is."""
    parser.add_argument("--model")
    parser.add_argument("--asked-requests", type=int)
    parser.add_argument("--words", type=int)
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--seen", type=Path)


@events.quitting.add_listener
def write(environment: Any, **_: Any) -> None:
    """A line a request."""
    environment.parsed_options.seen.write_text("".join(json.dumps(one) + "\n" for one in seen))


class Sdk(User):
    """A user asks, reads the stream, and asks again."""

    wait_time = constant(0)
    client: openai.OpenAI | None = None

    def on_start(self) -> None:
        Sdk.client = Sdk.client or openai.OpenAI(base_url=self.host, api_key="none", max_retries=0)

    @task
    def ask(self) -> None:
        wanted = self.environment.parsed_options.asked_requests
        if len(begun) >= wanted:
            raise StopUser
        begun.append(time.perf_counter())
        try:
            self._ask(begun[-1])
        finally:
            ended.append(time.perf_counter())
            if len(ended) == wanted:
                gevent.spawn(self.environment.runner.quit)  # in its own greenlet it would wait for itself

    def _ask(self, sent: float) -> None:
        asked = self.environment.parsed_options
        arrived, key = [], None
        for chunk in self.client.chat.completions.create(  # type: ignore[union-attr]
                model=asked.model, stream=True, max_tokens=asked.tokens, extra_body={"ignore_eos": True},
                messages=[{"role": "user", "content": " ".join("a" * asked.words)}]):
            now = time.perf_counter()
            if chunk.choices and chunk.choices[0].delta.content:
                arrived.append(now)
                key = chunk.id
        gaps = [late - early for early, late in itertools.pairwise(arrived)]
        seen.append({"key": key, "ttft_s": arrived[0] - sent, "gaps_s": gaps})
        self.environment.events.request.fire(
            request_type="sdk", name="ask", response_time=(time.perf_counter() - sent) * 1e3, response_length=0,
            context={}, exception=None)
