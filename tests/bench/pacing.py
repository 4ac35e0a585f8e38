"""How late an open loop sends, at 10, 100 and 1,000 arrivals a second on one worker, beside Locust's own wait times.

Lateness is `send_ns − scheduled_ns`: from the instant at which the schedule wanted a request to the instant just before
its first byte was written. Locust's `constant_throughput` users have no schedule; theirs is the drift of each user's
k-th task against k ÷ rate from its first, at 0.5 tasks a second and user, with answers of the same length.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.load_rig import emulator, free_port, run_file, started, sweep

RATES = (10, 100, 1000)
WINDOW_S = 8
LOCUST_USERS = """
from locust import User, constant_throughput, task
import gevent, time

class Paced(User):
    wait_time = constant_throughput(0.5)

    @task
    def answer(self):
        now = time.monotonic_ns()
        if not hasattr(self, "first"):
            self.first, self.count = now, 0
        with open("drift.txt", "a") as file:
            file.write(f"{now - self.first - self.count * 2 * 10**9}\\n")
        self.count += 1
        gevent.sleep(0.06)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line a rate."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    for rate in RATES:
        with tempfile.TemporaryDirectory(prefix="fmload-pacing-") as folder:
            _print(f"fmload, {rate}/s", _lateness_ns(Path(folder), rate))
    for rate in RATES[:2]:
        with tempfile.TemporaryDirectory(prefix="fmload-pacing-") as folder:
            _print(f"locust constant_throughput, {rate}/s", _drift_ns(Path(folder), rate))
    return 0


def _lateness_ns(folder: Path, rate: int) -> list[int]:
    load = {"rate": [rate], "arrivals": "poisson", "ramp": "1s", "warmup": "1s", "window": f"{WINDOW_S}s"}
    with emulator(folder, "--ttft", "20ms", "--gap", "10ms") as server, \
            sweep(folder, run_file(folder, {"a": server.url}, load), processes=1) as run:
        run.wait()
    start_ns = run.stages()[0]["window_start_ns"]
    return [record.send_ns - record.scheduled_ns for record in run.records()
            if record.send_ns is not None and record.scheduled_ns >= start_ns]


def _drift_ns(folder: Path, rate: int) -> list[int]:
    (folder / "users.py").write_text(LOCUST_USERS)
    users, port = str(2 * rate), str(free_port())
    command = ["-m", "locust", "-f", "users.py", "--headless", "--processes", "1", "-u", users, "-r", users, "-t",
               f"{WINDOW_S + 2}s", "--master-bind-port", port, "--master-port", port, "--only-summary", "-H", "http://h"]
    with started(command, folder) as run:
        run.wait()
    return [int(line) for line in (folder / "drift.txt").read_text().split()]


def _print(what: str, late_ns: list[int]) -> None:
    ordered = sorted(late_ns)
    p50, p99 = (ordered[min(len(ordered) - 1, int(q * len(ordered)))] / 1e6 for q in (0.5, 0.99))
    print(f"{what:36} {len(ordered):6} sends   late p50 {p50:8.3f} ms   p99 {p99:8.3f} ms", flush=True)


if __name__ == "__main__":
    main()
