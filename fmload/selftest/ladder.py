"""What this machine's client can measure: rising loads against the emulator's truth, by number of client processes.

A client process is what a Locust worker is without Locust: users as greenlets, the wire, `measure`, packed records.
As a program (`python -m fmload.selftest.ladder JOB`) this module is one such process.
"""

from __future__ import annotations

import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import gevent
import msgpack

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.emulator import truth
from fmload.endpoints.openai import OPENAI
from fmload.model.prompt import Prompt
from fmload.model.record import pack, unpack
from fmload.selftest.accuracy import Errors, Measured, compare, percentile_ms
from fmload.wire.exchange import ReaderChoice
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import measure

MAX_STREAMS = 16384
_START_LIMIT_S = 30.0
_FALLING_BEHIND = 0.9  # of the offered rate


@dataclass(frozen=True, slots=True)
class Ladder:
    """A load that rises: answers of so many tokens after `ttft_s`, `gap_s` apart; `first` users, then the double."""

    name: str
    ttft_s: float
    gap_s: float
    tokens: int
    first: int

    @property
    def cycle_s(self) -> float:
        """How long one answer takes."""
        return self.ttft_s + self.gap_s * (self.tokens - 1)


TOKENS = Ladder("tokens", ttft_s=0.2, gap_s=0.02, tokens=100, first=64)
REQUESTS = Ladder("requests", ttft_s=0.05, gap_s=0.02, tokens=1, first=8)


@dataclass(frozen=True, slots=True)
class Rung:
    """One load and what was measured in it. Errors at p99 in ms (None: no samples), CPU of all client processes."""

    workers: int
    users: int
    tokens_per_s: float
    requests_per_s: float
    ttft_p99_ms: float | None
    gap_p99_ms: float | None
    censored_share: float
    cpu_us_per_token: float
    failed: int
    held: bool  # the errors stayed under the limit and the client kept up


@dataclass(frozen=True, slots=True)
class Job:
    """What one client process is told. Instants of the monotonic clock, which all processes of a host share."""

    url: str
    users: int
    tokens: int
    cycle_s: float
    start_ns: int
    end_ns: int
    out: str
    reader: ReaderChoice = "auto"


def climb(ladder: Ladder, workers: int, limit_ms: float, seconds: float, on_rung: Callable[[Rung], None],
          reader: ReaderChoice = "auto") -> list[Rung]:
    """The rungs up to the first that does not hold, that one included. `on_rung` is told of each as it ends."""
    rungs: list[Rung] = []
    users = ladder.first
    while users <= MAX_STREAMS and (not rungs or rungs[-1].held):
        rungs.append(step(ladder, workers, users, limit_ms, seconds, reader))
        on_rung(rungs[-1])
        users *= 2
    return rungs


def step(ladder: Ladder, workers: int, users: int, limit_ms: float, seconds: float,
         reader: ReaderChoice = "auto") -> Rung:
    """One load on a fresh emulator and fresh client processes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with emulator(folder, ladder) as url:
            start_ns = time.monotonic_ns() + int((3.0 + ladder.cycle_s) * 1e9)
            end_ns = start_ns + int(seconds * 1e9)
            jobs = [Job(url, share, ladder.tokens, ladder.cycle_s, start_ns, end_ns, str(folder / f"{index}.out"),
                        reader)
                    for index, share in enumerate(_shares(users, workers)) if share]
            _run_clients(jobs, seconds)
        results = [msgpack.unpackb(Path(job.out).read_bytes()) for job in jobs]
        seen = [Measured.of(unpack(data)) for result in results for data in result["records"]]
        errors = compare(seen, truth.read(folder / "truth"), start_ns, end_ns)
    return _rung(ladder, workers, users, limit_ms, seconds, errors, sum(result["cpu_s"] for result in results))


def _rung(ladder: Ladder, workers: int, users: int, limit_ms: float, seconds: float, errors: Errors,
          cpu_s: float) -> Rung:
    ttft, gap = percentile_ms(errors.ttft_ns, 99), percentile_ms(errors.gap_ns, 99)
    kept_up = errors.requests / seconds >= _FALLING_BEHIND * users / ladder.cycle_s
    held = kept_up and not errors.failed and all(error is None or error <= limit_ms for error in (ttft, gap))
    return Rung(workers, users, errors.tokens / seconds, errors.requests / seconds, ttft, gap,
                errors.censored / max(errors.tokens, 1), 1e6 * cpu_s / max(errors.tokens, 1), errors.failed, held)


def _shares(users: int, workers: int) -> list[int]:
    return [users // workers + (index < users % workers) for index in range(workers)]


@contextmanager
def emulator(folder: Path, ladder: Ladder) -> Iterator[str]:
    """The address of an emulator that answers as the ladder has it; its truth log is `truth` in the folder."""
    ready = folder / "ready"
    command = [sys.executable, "-P", "-m", "fmload.emulator", "--port", "0", "--profile", "steady", "--ttft",
               f"{ladder.ttft_s}s", "--gap", f"{ladder.gap_s}s", "--truth", str(folder / "truth"), "--ready-file",
               str(ready)]
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        limit = time.monotonic() + _START_LIMIT_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > limit:
                raise FmloadError("the emulator did not start: " + (folder / "emulator.log").read_text()[-500:])
            time.sleep(0.02)
        yield json.loads(ready.read_text())["url"]
    finally:
        process.kill()
        process.wait()


def _run_clients(jobs: Sequence[Job], seconds: float) -> None:
    processes = [subprocess.Popen([sys.executable, "-P", "-m", "fmload.selftest.ladder", json.dumps(asdict(job))],
                                  stderr=subprocess.PIPE, text=True) for job in jobs]
    try:
        for process in processes:
            _, complaint = process.communicate(timeout=seconds + 60)
            if process.returncode:
                raise FmloadError("a client process failed: " + complaint.strip()[-500:])
    finally:
        for process in processes:
            process.kill()
            process.wait()


def serve(job: Job) -> None:
    """One client process: its users send from one answer's duration before the start until the end."""
    endpoint = OPENAI.from_spec(EndpointSpec.model_validate(
        {"name": "selftest", "protocol": "openai", "url": f"{job.url}/v1", "model": "emulated"}))
    address, wire, records = endpoint.addresses()[0], Http1Wire(reader=job.reader), []
    wire.preconnect(address, job.users)

    def user() -> None:
        gevent.sleep(max(0.0, (job.start_ns - time.monotonic_ns()) / 1e9 - random.uniform(0, job.cycle_s)))
        while time.monotonic_ns() < job.end_ns:
            record, _ = measure(endpoint, Prompt("p", "selftest", text="word " * 64, output_tokens=job.tokens), wire,
                                address, request_id=uuid4().hex, worker=str(os.getpid()), stage=0,
                                scheduled_ns=time.monotonic_ns())
            records.append(pack(record))

    gc.freeze()
    users = [gevent.spawn(user) for _ in range(job.users)]
    gevent.sleep(max(0.0, (job.start_ns - time.monotonic_ns()) / 1e9))
    cpu_s = time.process_time()
    gevent.sleep(max(0.0, (job.end_ns - time.monotonic_ns()) / 1e9))
    cpu_s = time.process_time() - cpu_s
    wire.interrupt("cancelled", "the measurement is over")
    gevent.joinall(users, timeout=10)
    Path(job.out).write_bytes(msgpack.packb({"records": records, "cpu_s": cpu_s}))


if __name__ == "__main__":
    serve(Job(**json.loads(sys.argv[1])))
