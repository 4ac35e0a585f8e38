"""How soon a load begins: the first request of a small run, the first of each of many users, a master of many workers.

    python -m tests.bench starting [--repeat 3] [--users 1024,10000] [--workers 50]

- `--repeat`: so many runs of two users on two workers, from the command to the first request of the load at the server,
  and the CPU that the command and its processes took by then (with that of the answer, some ms).
- `--users`: all at once on one worker, whose answers take so long that nobody asks twice meanwhile: from the start of
  the load to the last user's first request.
- `--workers`: a user each, at 20 ms a token: the master's CPU over 20 s of the window, in all and by worker.

Each is left out with 0. Requests are seen in the server's own log, by the kernel's stamp of their first bytes. On a
busy machine the seconds say little; the CPU does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from fmload.emulator import truth
from fmload.model.request_id import is_trial
from fmload.results.folder import Results
from tests.bench import scaling
from tests.bench.wire import Watch, awaited
from tests.load_rig import Run, emulator, run_file, started, wait_until

SMALL = {"concurrency": [2], "ramp": 0, "warmup": 0, "window": "2s", "workers": 2}
USERS_PER_S = 1000  # the least that is wanted
LIMIT_S = 300.0
SECONDS = 20.0  # over which a master is watched


def small(folder: Path) -> Iterator[str]:
    """Seconds from the command to the first request, and to the trial before it; CPU by then."""
    with emulator(folder, "--ttft", "20ms", "--gap", "5ms") as server:
        path = run_file(folder, {"steady": server.url}, SMALL)
        begun_ns = time.monotonic_ns()
        with _command(path, folder) as run:
            wait_until(server.requests, LIMIT_S, "the first answer")
            used_s = _cpu_s(psutil.Process(run.process.pid))
            run.wait(LIMIT_S)
        asked = truth.read(server.truth_log)
    for trial in (False, True):
        yield f"{(_first_ns(asked, trial) - begun_ns) / 1e9:.2f} s"
    yield f"{used_s:.2f} s"


@contextmanager
def _command(path: Path, folder: Path) -> Iterator[Run]:
    """`fmload run` as a person has it: a new process, not one that is forked from another with everything imported."""
    log = folder / "out.log"
    with log.open("wb") as output, subprocess.Popen(
            [sys.executable, "-m", "fmload", "run", str(path), "--out", str(folder / "out")], stdout=output,
            stderr=output, stdin=subprocess.DEVNULL) as process:
        try:
            yield Run(process, Results(folder / "out"), log)
        finally:
            process.terminate()


def _first_ns(asked: Sequence[truth.Truth], trial: bool) -> int:
    return min(one.received_ns for one in asked if is_trial(one.request_id) == trial)


def _cpu_s(process: psutil.Process) -> float:
    """Of a process and all that it has started, ended ones included."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(found.user + found.system + found.children_user + found.children_system for found in times)


def users(folder: Path, wanted: int) -> Iterator[str]:
    """Seconds from the load's start to the first request of one, of half and of all of so many users; the worker's CPU
    until the first answers come; requests that failed."""
    hold_s = 5 + 2 * wanted // USERS_PER_S
    load = {"concurrency": [wanted], "ramp": 0, "warmup": 0, "window": f"{2 * hold_s}s", "drain": "120s", "workers": 1,
            "trial": False}
    prompts = [{"name": "short", "source": "synthetic", "input_tokens": 200, "output_tokens": 1, "count": wanted}]
    with emulator(folder, "--ttft", f"{hold_s}s", "--gap", "0ms") as server:
        path = run_file(folder, {"slow": server.url}, load, prompts=prompts)
        with started(["-m", "fmload", "run", str(path), "--out", str(folder / "out")], folder) as run:
            awaited(run, lambda: any(stage["ramp_start_ns"] for stage in run.stages()), "the start of the load")
            watch = Watch(_worker(run))
            time.sleep(hold_s)
            used = watch.load([])
            awaited(run, lambda: len(server.requests()) >= wanted, "an answer for each user")
            run.wait(LIMIT_S)
    start_ns, = (stage["ramp_start_ns"] for stage in run.stages())
    received_ns = sorted(one.received_ns for one in server.requests())[:wanted]
    for at in (0, wanted // 2 - 1, wanted - 1):
        yield f"{(received_ns[at] - start_ns) / 1e9:.2f} s"
    yield f"{used.cpu_s:.2f} s"
    outcomes = Counter(record.outcome for record in run.records())
    yield f"{outcomes.total() - outcomes['ok'] - outcomes['censored']} of {outcomes.total():,}"


def _worker(run: Run) -> psutil.Process:
    processes = psutil.Process(run.process.pid).children(recursive=True)
    return next(process for process in processes if "--worker" in process.cmdline())


def master(workers: int) -> Iterator[str]:
    """A master's CPU over the window, in all and by worker, beside that of its workers; records that are missing."""
    found = scaling.measure(workers, workers, SECONDS)
    yield f"{100 * found.master_cpu:.1f} %"
    yield f"{100 * found.master_cpu / workers:.2f} %"
    yield f"{100 * found.workers_cpu:.0f} %"
    yield str(found.lost)


def _told(title: str, columns: Sequence[str], measured: Callable[..., Iterator[str]], cases: Sequence[Any]) -> Table:
    table = Table(*columns, title=title, title_justify="left", box=None)
    for case in cases:
        table.add_row(str(case), *measured(case), f"{os.getloadavg()[0]:.1f}")
    return table


def _in_a_folder(measured: Callable[..., Iterator[str]]) -> Callable[..., Iterator[str]]:
    def inside(*case: Any) -> Iterator[str]:
        with tempfile.TemporaryDirectory(prefix="fmload-starting-") as folder:
            yield from measured(Path(folder), *case)
    return inside


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.starting", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeat", type=int, default=3, help="small runs")
    parser.add_argument("--users", default="1024,10000")
    parser.add_argument("--workers", default="50")
    args = parser.parse_args(argv)
    for table in _tables(args):
        if table.row_count:
            Console().print(table)


def _tables(args: argparse.Namespace) -> Iterator[Table]:
    yield _told("from the command to the first request",
                ("run", "of the load", "of the trial", "CPU by then", "load average"),
                _in_a_folder(lambda folder, _: small(folder)), range(1, args.repeat + 1))
    yield _told("from the load's start to the first request of a user",
                ("users", "the first", "half of them", "all of them", "CPU of the worker", "failed", "load average"),
                _in_a_folder(users), _numbers(args.users))
    yield _told(f"a master over {SECONDS:g} s of its window",
                ("workers", "CPU", "by worker", "CPU of the workers", "records lost", "load average"), master,
                _numbers(args.workers))


def _numbers(given: str) -> list[int]:
    return [number for number in map(int, given.split(",")) if number]


if __name__ == "__main__":
    main()
