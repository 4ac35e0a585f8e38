"""How late requests are sent at 10, 100 and 1,000 a second by one worker: an open loop's beside Locust's own pacing.

    python -m tests.bench.pacing [--rates 10,100,1000]

Lateness of fmload is `send_ns − scheduled_ns`: from the instant at which the schedule wanted a request to the instant
just before its first byte was written; the arrivals are Poisson. Locust has no schedule: its users keep a pace. Theirs
is each user's k-th task against k seconds from its first, at one task a second and user, so that there are as many
users as requests a second; that is what `constant_pacing(1)` and `constant_throughput(1)` promise. All ask the same
emulator for the same streamed answers of 60 ms, through a master and one worker, two seconds of which are not counted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.load_rig import emulator, free_port, run_file, started, sweep

RATES = (10, 100, 1000)
LEAD_S, WINDOW_S = 2, 8
ANSWERS = ("--ttft", "20ms", "--gap", "10ms")
LOCUST_USERS = """
import json, time
from locust import FastHttpUser, {wait}, events, task

BODY = {{"model": "m", "stream": True, "max_tokens": 5, "messages": [{{"role": "user", "content": "word " * 20}}]}}
seen = []

@events.quitting.add_listener
def write(**_):
    if seen:
        with open("sent.json", "w") as file:
            json.dump(seen, file)

class Paced(FastHttpUser):
    wait_time = {wait}(1)

    def on_start(self):
        self.sent_ns = []
        seen.append(self.sent_ns)

    @task
    def ask(self):
        self.sent_ns.append(time.monotonic_ns())
        self.client.post("/v1/chat/completions", json=BODY)
"""


@dataclass(frozen=True)
class Sends:
    """What one client sent in its window. `late_ms` is by request."""

    late_ms: Sequence[float]
    per_s: float
    users: int | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Print one table, a line a client and rate."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pacing", description=__doc__)
    parser.add_argument("--rates", default=",".join(map(str, RATES)), help="requests a second")
    rates = [int(rate) for rate in parser.parse_args(argv).rates.split(",")]
    told = Table("client", "asked", "users", "sends", "sent", "late p50", "late p99", box=None)
    for name, client in CLIENTS.items():
        for rate in rates:
            with tempfile.TemporaryDirectory(prefix="fmload-pacing-") as folder:
                told.add_row(name, f"{rate:,}/s", *_cells(client(Path(folder), rate)))
    Console().print(told)
    return 0


def _cells(sends: Sends) -> Iterator[str]:
    yield "–" if sends.users is None else f"{sends.users:,}"
    yield f"{len(sends.late_ms):,}"
    yield f"{sends.per_s:,.1f}/s"
    yield from (f"{np.percentile(sends.late_ms, p):.2f} ms" for p in (50, 99))


def _fmload(folder: Path, rate: int) -> Sends:
    load = {"rate": [rate], "arrivals": "poisson", "ramp": 0, "warmup": f"{LEAD_S}s", "window": f"{WINDOW_S}s"}
    with emulator(folder, *ANSWERS) as server, \
            sweep(folder, run_file(folder, {"a": server.url}, load), processes=1) as run:
        if run.wait():
            raise SystemExit(run.output())
    stage, = run.stages()
    start_ns, end_ns = stage["window_start_ns"], stage["window_end_ns"]
    late_ms = [(record.send_ns - record.scheduled_ns) / 1e6 for record in run.records()
               if record.send_ns is not None and start_ns <= record.scheduled_ns < end_ns]
    return Sends(late_ms, len(late_ms) / ((end_ns - start_ns) / 1e9))


def _locust(wait: str) -> Callable[[Path, int], Sends]:
    def load(folder: Path, rate: int) -> Sends:
        (folder / "users.py").write_text(LOCUST_USERS.format(wait=wait))
        port = str(free_port())
        with emulator(folder, *ANSWERS) as server:
            command = ["-m", "locust", "-f", "users.py", "--headless", "--processes", "1", "-u", str(rate), "-r",
                       str(rate), "-t", f"{LEAD_S + WINDOW_S + 1}s", "--master-bind-port", port, "--master-port", port,
                       "--only-summary", "-H", server.url]
            with started(command, folder) as run:
                run.wait()
        return _paced(json.loads((folder / "sent.json").read_text()), rate)
    return load


def _paced(sent_ns: list[list[int]], users: int) -> Sends:
    """Lateness of all tasks from `LEAD_S` after the first one on, against the pace of their user."""
    begin_ns = min(user[0] for user in sent_ns if user) + LEAD_S * 10**9
    late_ms = [(at_ns - user[0] - turn * 10**9) / 1e6 for user in sent_ns for turn, at_ns in enumerate(user)
               if begin_ns <= at_ns < begin_ns + WINDOW_S * 10**9]
    return Sends(late_ms, len(late_ms) / WINDOW_S, users)


CLIENTS: dict[str, Callable[[Path, int], Sends]] = {
    "fmload, open loop": _fmload,
    "Locust constant_throughput": _locust("constant_throughput"),
    "Locust constant_pacing": _locust("constant_pacing"),
}

if __name__ == "__main__":
    raise SystemExit(main())
