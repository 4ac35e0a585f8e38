"""Locust users of the benchmark: ours, requests' `iter_lines` and the openai SDK, each keeping its own token times.

Read from the environment: FMLOAD_BENCH_URL (base URL), FMLOAD_BENCH_CA (PEM, or empty), FMLOAD_BENCH_TOKENS
(answer length), FMLOAD_BENCH_CYCLE_S (duration of one answer, over which the users' starts are spread) and
FMLOAD_BENCH_OUT (where the worker writes what it saw).
"""

from __future__ import annotations

import gc
import os
import random
import time
from array import array
from pathlib import Path
from typing import Any
from uuid import uuid4

import gevent
import msgpack
import psutil
from locust import HttpUser, User, constant, events, task
from locust.runners import MasterRunner

from fmload.endpoints.openai import OpenAI
from fmload.measure import measure
from fmload.prompt import Prompt
from fmload.wire.exchange import Timeouts
from fmload.wire.http1 import Http1Wire

URL = os.environ.get("FMLOAD_BENCH_URL", "")
CA = os.environ.get("FMLOAD_BENCH_CA", "") or None
TOKENS = int(os.environ.get("FMLOAD_BENCH_TOKENS", "128"))
CYCLE_S = float(os.environ.get("FMLOAD_BENCH_CYCLE_S", "2.8"))
TEXT = "word " * 64

requests_seen: list[tuple[str, int, bytes, bytes, str]] = []  # id, send, tokens (int64), censored (int8), outcome
samples: list[tuple[int, int, int]] = []  # instant, CPU of the process, its memory


def note(request_id: str, send_ns: int, token_ns: array[int], censored: bytes = b"", outcome: str = "ok") -> None:
    """Keep what one request saw, as bytes: objects that the garbage collector must visit would stall the loop."""
    requests_seen.append((request_id, send_ns, token_ns.tobytes(), censored, outcome))


@events.test_start.add_listener
def start_sampling(environment: Any, **_: Any) -> None:
    """Sample the process ten times a second, and let the users share one wire."""
    if not isinstance(environment.runner, MasterRunner):
        gc.freeze()  # what is imported stays: a full collection of it takes tens of ms
        sampler = gevent.spawn(_sample_for_ever)
        environment.events.test_stopping.add_listener(lambda **_: sampler.kill())


def _sample_for_ever() -> None:
    process = psutil.Process()
    while True:
        samples.append((time.monotonic_ns(), time.process_time_ns(), process.memory_info().rss))
        gevent.sleep(0.1)


@events.test_stop.add_listener
def write(**_: Any) -> None:
    """Write what this worker saw; the master saw nothing."""
    if samples:
        out = Path(os.environ["FMLOAD_BENCH_OUT"])
        unfinished = out.with_suffix(".part")
        unfinished.write_bytes(msgpack.packb({"requests": requests_seen, "samples": samples}))
        unfinished.rename(out)


class Spread(User):
    """Starts at a random moment of the first answer's duration, then sends without a pause."""

    abstract = True
    wait_time = constant(0)

    def on_start(self) -> None:
        gevent.sleep(random.uniform(0, CYCLE_S))


class Ours(Spread):
    """`fmload.measure` over the wire, as the product's own users do it."""

    endpoint: OpenAI
    wire: Http1Wire

    def on_start(self) -> None:
        cls = type(self)
        if not hasattr(cls, "wire"):
            cls.wire = Http1Wire(Timeouts())
            cls.endpoint = OpenAI("bench", [URL], "emulated", OpenAI.Options(ca_file=CA))
        self.address = self.endpoint.addresses()[0]
        super().on_start()
        self.wire.preconnect(self.address, 1)

    @task
    def ask(self) -> None:
        request = gevent.spawn(self._ask)  # of its own: when the user is killed, the record is kept
        try:
            request.join()
        except BaseException:
            request.kill()
            raise

    def _ask(self) -> None:
        prompt = Prompt("p", "bench", text=TEXT, output_tokens=TOKENS)
        record, _ = measure(self.endpoint, prompt, self.wire, self.address, request_id=uuid4().hex, worker="bench",
                            stage=0, scheduled_ns=time.monotonic_ns())
        note(record.request_id, record.send_ns or 0, record.chunk_ns, record.chunk_censored.tobytes(), record.outcome)
        self.environment.events.request.fire(
            request_type="fmload", name="ask", response_time=1.0, response_length=0, context={},
            exception=None if record.outcome == "ok" else RuntimeError(record.error))


def body() -> dict[str, Any]:
    """The request that the others send."""
    return {"model": "emulated", "stream": True, "max_tokens": TOKENS, "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": TEXT}]}


class Requests(HttpUser):
    """What a Locust user would write first: requests, `stream=True`, `iter_lines`."""

    host = URL
    wait_time = constant(0)

    def on_start(self) -> None:
        self.client.verify = CA or True
        gevent.sleep(random.uniform(0, CYCLE_S))

    @task
    def ask(self) -> None:
        import json

        request_id, token_ns = uuid4().hex, array("q")
        send_ns = time.monotonic_ns()
        with self.client.post("/chat/completions", json=body(), stream=True, headers={"X-Request-Id": request_id},
                              catch_response=True) as response:
            for line in response.iter_lines():
                now_ns = time.monotonic_ns()
                if line.startswith(b"data: {"):
                    choices = json.loads(line[6:])["choices"]
                    if choices and choices[0]["delta"].get("content"):
                        token_ns.append(now_ns)
            response.success()
        note(request_id, send_ns, token_ns)


class Sdk(Spread):
    """The openai package in a plain user, one client a process."""

    client: Any

    def on_start(self) -> None:
        cls = type(self)
        if not hasattr(cls, "client"):
            cls.client = _sdk_client()
        super().on_start()

    @task
    def ask(self) -> None:
        request_id, token_ns = uuid4().hex, array("q")
        send_ns = time.monotonic_ns()
        started = time.perf_counter()
        for chunk in self.client.chat.completions.create(**body(), extra_headers={"X-Request-Id": request_id}):
            now_ns = time.monotonic_ns()
            if chunk.choices and chunk.choices[0].delta.content:
                token_ns.append(now_ns)
        note(request_id, send_ns, token_ns)
        self.environment.events.request.fire(
            request_type="sdk", name="ask", response_time=1000 * (time.perf_counter() - started), response_length=0,
            context={}, exception=None)


def _sdk_client() -> Any:
    import openai

    limits = {"max_connections": 4096, "max_keepalive_connections": 4096}
    try:
        import httpx2 as http
    except ImportError:
        import httpx as http
    return openai.OpenAI(base_url=URL, api_key="none", max_retries=0, http_client=http.Client(
        limits=http.Limits(**limits), verify=CA or True, timeout=600))
