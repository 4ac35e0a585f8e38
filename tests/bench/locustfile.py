"""What one would write to load an endpoint with Locust alone: requests' `iter_lines`, and the openai SDK.

Each user starts at a random moment of the first answer's duration and then sends without a pause. Read from the
environment: FMLOAD_BENCH_URL (base URL), FMLOAD_BENCH_TOKENS (answer length), FMLOAD_BENCH_CYCLE_S (its duration)
and FMLOAD_BENCH_OUT (where the worker writes what it saw).
"""

from __future__ import annotations

import gc
import json
import os
import random
import time
from array import array
from pathlib import Path
from typing import Any
from uuid import uuid4

import gevent
import msgpack
import openai
from locust import HttpUser, User, constant, events, task
from locust.runners import MasterRunner

URL = os.environ.get("FMLOAD_BENCH_URL", "")
TOKENS = int(os.environ.get("FMLOAD_BENCH_TOKENS", "128"))
CYCLE_S = float(os.environ.get("FMLOAD_BENCH_CYCLE_S", "2.8"))
BODY: dict[str, Any] = {
    "model": "emulated", "stream": True, "max_tokens": TOKENS, "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": "word " * 64}]}

seen: list[tuple[str, int, bytes]] = []  # request id, instant of sending, instants of tokens (int64)


@events.test_start.add_listener
def begin(environment: Any, **_: Any) -> None:
    """Say that the load begins."""
    if not isinstance(environment.runner, MasterRunner):
        gc.freeze()  # what is imported stays: visiting it again and again would be counted against the clients
        Path(os.environ["FMLOAD_BENCH_OUT"]).with_suffix(".begun").touch()


@events.test_stop.add_listener
def write(environment: Any, **_: Any) -> None:
    """Write what this worker saw."""
    if not isinstance(environment.runner, MasterRunner):
        out = Path(os.environ["FMLOAD_BENCH_OUT"])
        unfinished = out.with_suffix(".part")
        unfinished.write_bytes(msgpack.packb(seen))
        unfinished.rename(out)


class Requests(HttpUser):
    """`stream=True` and `iter_lines`."""

    host = URL
    wait_time = constant(0)

    def on_start(self) -> None:
        gevent.sleep(random.uniform(0, CYCLE_S))

    @task
    def ask(self) -> None:
        request_id, token_ns, send_ns = uuid4().hex, array("q"), time.monotonic_ns()
        with self.client.post("/chat/completions", json=BODY, stream=True, headers={"X-Request-Id": request_id},
                              catch_response=True) as response:
            for line in response.iter_lines():
                now_ns = time.monotonic_ns()
                if line.startswith(b"data: {"):
                    choices = json.loads(line[6:])["choices"]
                    if choices and choices[0]["delta"].get("content"):
                        token_ns.append(now_ns)
            response.success()
        seen.append((request_id, send_ns, token_ns.tobytes()))


class Sdk(User):
    """The openai package, one client a process."""

    wait_time = constant(0)
    client: openai.OpenAI | None = None

    def on_start(self) -> None:
        Sdk.client = Sdk.client or openai.OpenAI(base_url=URL, api_key="none", max_retries=0)
        gevent.sleep(random.uniform(0, CYCLE_S))

    @task
    def ask(self) -> None:
        assert self.client is not None
        request_id, token_ns, send_ns = uuid4().hex, array("q"), time.monotonic_ns()
        for chunk in self.client.chat.completions.create(**BODY, extra_headers={"X-Request-Id": request_id}):
            now_ns = time.monotonic_ns()
            if chunk.choices and chunk.choices[0].delta.content:
                token_ns.append(now_ns)
        seen.append((request_id, send_ns, token_ns.tobytes()))
        self.environment.events.request.fire(
            request_type="sdk", name="ask", response_time=(time.monotonic_ns() - send_ns) / 1e6, response_length=0,
            context={}, exception=None)
