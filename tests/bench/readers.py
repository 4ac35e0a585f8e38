"""The two readers side by side: CPU a token, errors against the truth, memory; a busy interpreter, TLS, many streams.

    python -m tests.bench.readers [--cases 256,512,1024,held,tls,4000,open] [--seconds 8] [--repeat 2] [--nice -10]

One process of our wire (no Locust) on one core, the emulator on another. `held`: 256 streams while the interpreter is
held for 30 ms five times a second. `open`: 10,000 streams of a token each four seconds. Errors are |measured − true|
over all tokens that came, censored ones included. CPU is the whole client process's; of it, the thread of the native
reader. `held` spins for 150 ms of each second, which its CPU holds.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import gevent
import psutil
from rich.console import Console
from rich.table import Table

from fmload.base.descriptors import raise_limit
from fmload.config.schema import EndpointSpec
from fmload.endpoints.openai import OPENAI
from fmload.model.prompt import Prompt
from fmload.model.record import Record
from fmload.selftest.accuracy import Measured, compare, percentile_ms
from fmload.wire.exchange import ReaderChoice
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import measure
from tests.bench.wire import _prefer, cores
from tests.load_rig import emulator

HELD_S, HELD_EVERY_S = 0.03, 0.2
LIMIT_S = 300


@dataclass(frozen=True)
class Case:
    """A load: answers of so many tokens, `gap_s` apart."""

    streams: int
    gap_s: float = 0.02
    tokens: int = 128
    ttft_s: float = 0.2
    held: bool = False
    tls: bool = False

    @property
    def cycle_s(self) -> float:
        return self.ttft_s + self.gap_s * self.tokens


CASES = {"256": Case(256), "512": Case(512), "1024": Case(1024), "held": Case(256, held=True),
         "tls": Case(256, tls=True), "4000": Case(4000), "open": Case(10_000, gap_s=4.0, tokens=40)}


@dataclass(frozen=True)
class Job:
    """What the client process is told."""

    url: str
    ca_file: str | None
    case: dict[str, Any]
    reader: ReaderChoice
    seconds: float


class Client:
    """The users, and what they saw of answers that have ended."""

    def __init__(self, job: Job, case: Case) -> None:
        more = {"ca_file": job.ca_file} if job.ca_file else {}
        self.endpoint = OPENAI.from_spec(EndpointSpec.model_validate(
            {"name": "bench", "protocol": "openai", "url": f"{job.url}/v1", "model": "emulated", **more}))
        self.wire = Http1Wire(reader=job.reader)
        self.case = case
        self.records: list[Record] = []

    def user(self, start_s: float, end_s: float, place: int) -> None:
        """Ask until the end; the first request somewhere in the cycle before the start."""
        ahead_s = min(self.case.cycle_s, 8.0) * (place + 1) / self.case.streams
        gevent.sleep(max(0.0, start_s - time.monotonic() - ahead_s))
        while time.monotonic() < end_s:
            prompt = Prompt("p", "s", text="word " * 64, output_tokens=self.case.tokens)
            self.records.append(measure(self.endpoint, prompt, self.wire, self.endpoint.addresses()[0],
                                        request_id=uuid4().hex, worker="bench", stage=0,
                                        scheduled_ns=time.monotonic_ns())[0])


def hold() -> None:
    """Keep the interpreter for a while, again and again."""
    while True:
        gevent.sleep(HELD_EVERY_S - HELD_S)
        until = time.monotonic() + HELD_S
        while time.monotonic() < until:
            pass


def serve(job: Job) -> dict[str, Any]:
    """The client process: load, the window, and what came."""
    raise_limit()
    case = Case(**job.case)
    client, memory = Client(job, case), psutil.Process().memory_info
    before = memory().rss
    client.wire.preconnect(client.endpoint.addresses()[0], case.streams)
    start_s = time.monotonic() + min(case.cycle_s, 8.0) + 2.0
    end_s = start_s + job.seconds
    gc.freeze()
    users = [gevent.spawn(client.user, start_s, end_s, place) for place in range(case.streams)]
    if case.held:
        gevent.spawn(hold)
    gevent.sleep(start_s - time.monotonic())
    cpu_s, own_s, start_ns = time.process_time(), time.thread_time(), time.monotonic_ns()
    gevent.sleep(max(0.0, end_s - time.monotonic()))
    cpu_s, own_s, end_ns = time.process_time() - cpu_s, time.thread_time() - own_s, time.monotonic_ns()
    rss = memory().rss
    client.wire.interrupt("cancelled", "the measurement is over")
    gevent.joinall(users, timeout=60)
    seen = [Measured.of(record) for record in client.records]
    return {"cpu_s": cpu_s, "thread_s": cpu_s - own_s, "start_ns": start_ns, "end_ns": end_ns,
            "kb_a_stream": (rss - before) / case.streams / 1e3, "reader": client.wire.reader,
            "answer_kb": sum(record.reads for record in client.records) * 0.25 / case.streams,
            "seen": [(one.request_id, one.send_ns, one.token_ns.tolist(), one.censored.tolist(), one.outcome)
                     for one in seen]}


def measured(name: str, reader: ReaderChoice, seconds: float, nice: int) -> list[str]:
    """One row of the table."""
    import numpy as np

    case, (server_core, client_core) = CASES[name], cores()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with emulator(folder, "--profile", "steady", "--ttft", f"{case.ttft_s}s", "--gap", f"{case.gap_s}s",
                      *(["--tls"] if case.tls else [])) as server:
            os.sched_setaffinity(server.process.pid, {server_core})
            _prefer(psutil.Process(server.process.pid), nice)
            job = Job(server.url, server.ca_file, asdict(case), reader, seconds)
            command = [sys.executable, "-m", "tests.bench.readers", "--client", json.dumps(asdict(job))]
            process = subprocess.Popen(command, stdout=subprocess.PIPE,
                                       preexec_fn=lambda: os.sched_setaffinity(0, {client_core}))
            _prefer(psutil.Process(process.pid), nice)
            out = json.loads(process.communicate(timeout=LIMIT_S)[0])
            truths = server.requests()
    seen = [Measured(request_id, send_ns, np.array(token_ns, np.int64), np.array(censored, bool), outcome)
            for request_id, send_ns, token_ns, censored, outcome in out["seen"]]
    errors = compare(seen, truths, out["start_ns"], out["end_ns"])
    tokens = max(errors.tokens, 1)
    lasted_s = (out["end_ns"] - out["start_ns"]) / 1e9

    def ms(values: Any, q: int) -> str:
        found = percentile_ms(values, q)
        return "n/a" if found is None else f"{found:.3f}"

    return [name, out["reader"], f"{errors.tokens / lasted_s:.0f}", f"{1e6 * out['cpu_s'] / tokens:.1f}",
            f"{1e6 * out['thread_s'] / tokens:.1f}", f"{out['cpu_s'] / lasted_s:.0%}",
            ms(errors.ttft_ns, 50), ms(errors.ttft_ns, 99), ms(errors.gap_ns, 50), ms(errors.gap_ns, 99),
            f"{errors.censored / tokens:.2%}", f"{out['kb_a_stream']:.1f}",
            f"{out['answer_kb']:.1f}", str(errors.failed)]


COLUMNS = ("case", "reader", "tokens/s", "CPU µs/token", "of it thread", "core", "TTFT p50 ms", "TTFT p99",
           "ITL p50 ms", "ITL p99", "censored", "kB a stream", "its answer", "failed")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the grid and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.readers", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--readers", default="python,native")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--nice", type=int, default=0, help="priority of server and client, such as -10 (root)")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.client:
        print(json.dumps(serve(Job(**json.loads(args.client)))), flush=True)
        os._exit(0)
    raise_limit()
    table = Table(title="one client process on one core, 128 tokens an answer, 20 ms a token")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for name in args.cases.split(","):
        for _ in range(args.repeat):
            for reader in args.readers.split(","):
                row = measured(name, reader, args.seconds, args.nice)
                print("  ".join(row), file=sys.stderr, flush=True)
                table.add_row(*row)
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
