"""Where one client process ends: tokens a second with no gap, memory of open streams, memory over many requests.

    python -m tests.bench.capacity [--requests 200000] [--streams 1000]

One process of our wire on one core (no Locust), the emulator on another. Capacity is bulk reading: with no gap between
tokens many come with one read, which a stream that is paced never does.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gevent
import psutil
from rich.console import Console
from rich.table import Table

from fmload.config.schema import EndpointSpec
from fmload.endpoints.openai import OPENAI
from fmload.model.prompt import Prompt
from fmload.model.record import Record
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import measure
from tests.bench.wire import cores
from tests.load_rig import emulator


class Client:
    """Users of one endpoint in this process."""

    def __init__(self, url: str, tokens: int) -> None:
        self.endpoint = OPENAI.from_spec(EndpointSpec.model_validate(
            {"name": "bench", "protocol": "openai", "url": f"{url}/v1", "model": "emulated"}))
        self.address = self.endpoint.addresses()[0]
        self.wire = Http1Wire()
        self.tokens = tokens
        self.requests = self.tokens_seen = self.failed = 0

    def ask(self) -> Record:
        record, _ = measure(self.endpoint, Prompt("p", "s", text="word " * 64, output_tokens=self.tokens), self.wire,
                            self.address, request_id=f"r{self.requests}", worker="bench", stage=0,
                            scheduled_ns=time.monotonic_ns())
        self.requests += 1
        self.tokens_seen += len(record.chunk_ns)
        self.failed += record.outcome != "ok"
        return record

    def users(self, count: int) -> None:
        """Start so many users that ask for ever."""
        def user() -> None:
            while True:
                self.ask()

        for _ in range(count):
            gevent.spawn(user)


def rss_mb() -> float:
    """Resident memory of this process."""
    gc.collect()
    return float(psutil.Process().memory_info().rss / 1e6)


def capacity(url: str) -> dict[str, Any]:
    """64 streams without a gap for five seconds."""
    client = Client(url, 256)
    client.users(64)
    gevent.sleep(1)
    before, cpu_s, begun = client.tokens_seen, time.process_time(), time.monotonic()
    gevent.sleep(5)
    lasted_s, tokens = time.monotonic() - begun, client.tokens_seen - before
    cpu_s = time.process_time() - cpu_s
    return {"tokens/s": tokens / lasted_s, "tokens/s of a whole core": tokens / cpu_s,
            "CPU µs/token": 1e6 * cpu_s / tokens, "failed": client.failed}


def open_streams(url: str, streams: int) -> dict[str, Any]:
    """So many streams held open in mid-answer."""
    client = Client(url, 400)
    before = rss_mb()
    client.wire.preconnect(client.address, streams)
    connected = rss_mb()
    client.users(streams)
    gevent.sleep(5)
    held = rss_mb()
    return {"streams": streams, "MB for idle connections": connected - before,
            "MB with streams half-way": held - before}


def flat(url: str, requests: int) -> dict[str, Any]:
    """Memory after each tenth of so many short requests."""
    client = Client(url, 1)
    client.users(32)
    steps, begun = [], time.monotonic()
    while client.requests < requests:
        gevent.sleep(0.2)
        if client.requests >= (len(steps) + 1) * requests / 10:
            steps.append(round(rss_mb(), 1))
    rate = client.requests / (time.monotonic() - begun)
    return {"requests": client.requests, "requests/s": rate, "failed": client.failed, "MB at each tenth": steps}


TRIALS = {"capacity": (capacity, ("0.01s", "0s")), "open_streams": (open_streams, ("0.05s", "0.02s")),
          "flat": (flat, ("0s", "0s"))}


def trial(name: str, *arguments: int) -> dict[str, Any]:
    """One trial in a fresh process on the client's core, with a fresh emulator on the server's."""
    server_core, client_core = cores()
    ttft, gap = TRIALS[name][1]
    with tempfile.TemporaryDirectory() as folder, emulator(
            Path(folder), "--profile", "steady", "--ttft", ttft, "--gap", gap) as server:
        os.sched_setaffinity(server.process.pid, {server_core})
        done = subprocess.run([sys.executable, "-m", "tests.bench.capacity", "--trial", name, server.url,
                               *map(str, arguments)], stdout=subprocess.PIPE, check=True, timeout=1200,
                              preexec_fn=lambda: os.sched_setaffinity(0, {client_core}))
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the trials and print their figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.capacity", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--trial", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.trial:
        name, url, *arguments = args.trial
        print(json.dumps(TRIALS[name][0](url, *map(int, arguments))), flush=True)
        os._exit(0)  # the users would go on for ever
    table = Table(title="one client process on one core")
    for column in ("what", "figure"):
        table.add_column(column)
    for name, arguments in (("capacity", ()), ("open_streams", (args.streams,)), ("flat", (args.requests,))):
        for what, value in trial(name, *arguments).items():
            table.add_row(f"{name}: {what}", f"{value:,.1f}" if isinstance(value, float) else str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
