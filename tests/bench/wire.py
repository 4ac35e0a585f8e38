"""What the wire measures, and what that costs: this project's users beside requests' and the openai SDK's.

    python -m tests.bench.wire [--streams 256,512] [--clients native,python,scenario,sdk] [--seconds 12] [--nice -10]
    python -m tests.bench.wire --clients ours-responses,ours-anthropic-tls --streams 128

The server is the emulator, alone on one core; its truth log holds the kernel's receive stamp of every request and
the instant of every write. The client is a Locust worker, alone on another core; the master runs beside the server.
"native" and "python" are the product as it is, from the run file to the records, with either reader; "ours" with
the one that is installed; a protocol behind the dash; "-tls" behind a name: over TLS. "scenario" the same requests as
sessions of one turn, written in a locustfile; the others are what one would write in a locustfile.
An error is |measured − true| of one request's TTFT or of one gap between tokens, over all that ended in the window,
censored ones included. CPU is the worker process's own, user and system.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgpack
import numpy as np
import psutil
import pyarrow.parquet as pq
import yaml
from rich.console import Console
from rich.table import Table

from fmload.emulator import truth
from fmload.selftest.accuracy import Measured, compare, percentile_ms
from tests.load_rig import Run, Server, emulator, free_port, started, wait_until

TTFT_S, GAP_S, TOKENS = 0.2, 0.02, 128
CYCLE_S = TTFT_S + GAP_S * TOKENS
LOCUSTFILE = Path(__file__).with_name("locustfile.py")
SCENARIO = Path(__file__).with_name("scenario.py")
CLIENTS = {"requests": "Requests", "sdk": "Sdk"}  # the class in the locustfile
READERS = {"native": "native", "python": "python"}
LIMIT_S = 300


@dataclass(frozen=True)
class Load:
    """What a client did in its window, and the CPU and memory that its worker took for it."""

    seen: list[Measured]
    start_ns: int
    end_ns: int
    cpu_s: float
    rss_mb: float


@dataclass(frozen=True)
class Result:
    """One row of the table. Errors in ms as (p50, p99), None where nothing was measured; CPU in µs a token."""

    client: str
    streams: int
    tokens_per_s: float
    ttft_ms: tuple[float, float] | None
    gap_ms: tuple[float, float] | None
    censored: float
    cpu_us: float
    cpu_share: float
    failed: int
    rss_mb: float


def cores() -> tuple[int, int]:
    """(server's, client's): the last two that this process may use; the same one twice where there is one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[-2 if len(allowed) > 1 else -1], allowed[-1]


class Watch:
    """The CPU and the memory of one process between two moments."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._begun_ns, self._begun_s = time.monotonic_ns(), self._cpu_s()

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def load(self, seen: list[Measured]) -> Load:
        """What it took until now, with nothing seen yet when `seen` comes later."""
        return Load(seen, self._begun_ns, time.monotonic_ns(), self._cpu_s() - self._begun_s,
                    self._process.memory_info().rss / 1e6)


def watched(process: psutil.Process, seconds: float) -> Load:
    """The process over so many seconds from now."""
    watch = Watch(process)
    time.sleep(seconds)
    return watch.load([])


def product(server: Server, streams: int, seconds: float, folder: Path, nice: int, scenario: bool = False,
            reader: str = "auto", protocol: str = "openai") -> Load:
    """`fmload run` with one worker on the client's core; `scenario`: the same requests, written in a locustfile."""
    prompts = ({"source": "scenario"} if scenario else
               {"source": "synthetic", "input_tokens": 64, "output_tokens": TOKENS, "count": 4000})
    path = folder / "run.yml"
    path.write_text(yaml.safe_dump({
        "name": "bench",
        "endpoints": [{"name": "steady", "protocol": protocol, "url": server.url, "model": "emulated",
                       **({"ca_file": server.ca_file} if server.ca_file else {})}],
        "prompts": [{"name": "p", **prompts}], "reader": reader,
        "load": {"concurrency": [streams], "ramp": f"{CYCLE_S}s", "warmup": "4s", "window": f"{seconds + 1}s",
                 "drain": "30s", "workers": 1}}))
    server_core, client_core = cores()
    users = ["--locustfile", str(SCENARIO)] if scenario else []
    with started(["-m", "fmload", "run", str(path), "--out", str(folder / "out"), *users], folder) as run:
        awaited(run, lambda: bool(run.stages() and run.stages()[0]["ramp_start_ns"]), "the ramp")
        worker = pinned(run, server_core, client_core)
        _prefer(worker, nice)
        awaited(run, run.in_window, "the window")
        load = watched(worker, seconds)
        run.wait(LIMIT_S)
    files = sorted((folder / "out" / "records").glob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(
        file, columns=["request_id", "send_ns", "chunk_ns", "chunk_censored", "outcome"]).to_pylist()]
    seen = [Measured(row["request_id"], row["send_ns"] or 0, np.array(row["chunk_ns"], np.int64),
                 np.array(row["chunk_censored"], bool), row["outcome"]) for row in rows]
    return Load(seen, load.start_ns, load.end_ns, load.cpu_s, load.rss_mb)


def awaited(run: Run, condition: Callable[[], bool], what: str) -> None:
    """Wait for it; a run that has ended before is told with its last words."""
    wait_until(lambda: run.process.poll() is not None or condition(), LIMIT_S, what)
    if run.process.poll() is not None:
        raise SystemExit(f"the run ended before {what}:\n{run.output()[-2000:]}")


def pinned(run: Run, server_core: int, client_core: int) -> psutil.Process:
    """The worker, on the client's core; everything else of the run is put on the server's."""
    top = psutil.Process(run.process.pid)
    workers = [process for process in top.children(recursive=True) if "--worker" in process.cmdline()]
    for process in [top, *top.children(recursive=True)]:
        _pin(process, client_core if process in workers else server_core)
    return workers[0]


def _pin(process: psutil.Process, core: int) -> None:
    for thread in process.threads():
        os.sched_setaffinity(thread.id, {core})


def _prefer(process: psutil.Process, nice: int) -> None:
    """Keep the neighbours on a busy machine out of the figures; needs root."""
    if nice:
        for thread in process.threads():  # a priority is of one thread; those that are made later take it over
            os.setpriority(os.PRIO_PROCESS, thread.id, nice)
        group = Path(f"/proc/{process.pid}/autogroup")
        if group.exists():
            group.write_text(str(nice))


def written(client: str, server: Server, streams: int, seconds: float, folder: Path, nice: int) -> Load:
    """A locustfile as one would write it: one master, one worker."""
    server_core, client_core = cores()
    port, out = str(free_port()), folder / "seen.msgpack"
    environment = {**os.environ, "FMLOAD_BENCH_URL": f"{server.url}/v1", "FMLOAD_BENCH_TOKENS": str(TOKENS),
                   "FMLOAD_BENCH_CYCLE_S": str(CYCLE_S), "FMLOAD_BENCH_OUT": str(out),
                   "PYTHONPATH": str(LOCUSTFILE.parents[2])}
    locust = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), CLIENTS[client], "--loglevel", "WARNING"]
    master = [*locust, "--master", "--master-bind-port", port, "--expect-workers", "1", "--headless", "-u",
              str(streams), "-r", str(streams), "-t", f"{seconds + CYCLE_S + 8:.0f}s", "--only-summary"]
    with _running(master, environment, folder, server_core) as main, \
            _running([*locust, "--worker", "--master-port", port], environment, folder, client_core) as worker:
        _prefer(psutil.Process(worker.pid), nice)
        wait_until(out.with_suffix(".begun").exists, LIMIT_S, "the start")
        time.sleep(CYCLE_S + 4)
        load = watched(psutil.Process(worker.pid), seconds)
        main.wait(LIMIT_S)
        wait_until(out.exists, LIMIT_S, "what the worker saw")
    seen = [Measured(request_id, send_ns, np.frombuffer(token_ns, np.int64), np.zeros(len(token_ns) // 8, bool), "ok")
            for request_id, send_ns, token_ns in msgpack.unpackb(out.read_bytes())]
    return Load(seen, load.start_ns, load.end_ns, load.cpu_s, load.rss_mb)


@contextmanager
def _running(command: Sequence[str], environment: dict[str, str], folder: Path,
             core: int) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "locust.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log,
                                   preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def judge(client: str, streams: int, load: Load, truths: Sequence[truth.Truth]) -> Result:
    """Compare what the client saw in its window with what the server did."""
    errors = compare(load.seen, truths, load.start_ns, load.end_ns)
    lasted_s = (load.end_ns - load.start_ns) / 1e9
    tokens = max(errors.tokens, 1)
    return Result(client, streams, errors.tokens / lasted_s, _p50_p99(errors.ttft_ns), _p50_p99(errors.gap_ns),
                  errors.censored / tokens, 1e6 * load.cpu_s / tokens, load.cpu_s / lasted_s, errors.failed,
                  load.rss_mb)


def _p50_p99(values_ns: np.ndarray) -> tuple[float, float] | None:
    median, tail = percentile_ms(values_ns, 50), percentile_ms(values_ns, 99)
    return None if median is None or tail is None else (median, tail)


def measure_one(client: str, streams: int, seconds: float, nice: int = 0) -> Result:
    """One row: a fresh emulator, a fresh master and worker."""
    tls = client.endswith("-tls")
    base, _, protocol = client.removesuffix("-tls").partition("-")
    options = ["--profile", "steady", "--ttft", f"{TTFT_S}s", "--gap", f"{GAP_S}s", *(["--tls"] if tls else [])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with emulator(folder, *options) as server:
            _pin(psutil.Process(server.process.pid), cores()[0])
            _prefer(psutil.Process(server.process.pid), nice)
            load = (written(client, server, streams, seconds, folder, nice) if client in CLIENTS
                    else product(server, streams, seconds, folder, nice, client == "scenario",
                                 READERS.get(base, "auto"), protocol or "openai"))
            return judge(client, streams, load, server.requests())


def render(results: Sequence[Result]) -> Table:
    """The table of errors and costs."""
    table = Table(title="|measured − true| and the worker's CPU, 20 ms a token")
    for name in ("client", "streams", "tokens/s", "TTFT p50 ms", "TTFT p99 ms", "ITL p50 ms", "ITL p99 ms",
                 "censored", "CPU µs/token", "core", "RSS MB", "failed"):
        table.add_column(name, justify="left" if name == "client" else "right")
    for row in results:
        errors = [f"{value:.3f}" for pair in (row.ttft_ms, row.gap_ms) for value in (pair or ())] or ["n/a"] * 4
        table.add_row(row.client, str(row.streams), f"{row.tokens_per_s:.0f}", *errors, f"{row.censored:.2%}",
                      f"{row.cpu_us:.1f}", f"{row.cpu_share:.0%}", f"{row.rss_mb:.0f}", str(row.failed))
    return table


def main(argv: Sequence[str] | None = None) -> None:
    """Run the grid and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wire", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--streams", default="256,512,1024")
    parser.add_argument("--clients", default="native,python,native-tls,python-tls,scenario,requests,sdk")
    parser.add_argument("--seconds", type=float, default=12.0, help="measured, after the start")
    parser.add_argument("--nice", type=int, default=0, help="priority of server and worker, such as -10 (root)")
    args = parser.parse_args(argv)
    results = []
    for streams in map(int, args.streams.split(",")):
        for client in args.clients.split(","):
            results.append(measure_one(client, streams, args.seconds, args.nice))
            Console(stderr=True).print(results[-1])
    Console(width=150).print(render(results))


if __name__ == "__main__":
    main()
