"""What more workers give, and what each of them costs the master.

    python -m tests.bench.scaling [--workers 1,2,4] [--streams 256] [--seconds 15]

The same load (streams at 20 ms a token) on 1, 2 and 4 workers of one run: tokens a second, CPU of the workers in all,
of the master, and what that says of a master with a hundred workers. CPU is read from the processes' own clocks over
the measurement window; the emulator has its own process and is not in it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import yaml
from rich.console import Console
from rich.table import Table

from tests.bench.wire import GAP_S, TOKENS, TTFT_S
from tests.load_rig import Run, emulator, started, wait_until


@dataclass(frozen=True)
class Result:
    """One row. CPU in cores; events are token chunks."""

    workers: int
    events_per_s: float
    workers_cpu: float
    master_cpu: float
    requests_per_s: float
    lost: int


def measure(workers: int, streams: int, seconds: float) -> Result:
    """One run on so many workers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with emulator(folder, "--profile", "steady", "--ttft", f"{TTFT_S}s", "--gap", f"{GAP_S}s") as server:
            path = _run_file(folder, server.url, workers, streams, seconds)
            with started(["-m", "fmload", "run", str(path), "--out", str(folder / "out")], folder) as run:
                wait_until(run.in_window, 300, "the window")
                roles = _processes(run)
                before = {role: _cpu_s(processes) for role, processes in roles.items()}
                begun = time.monotonic()
                time.sleep(seconds)
                lasted_s = time.monotonic() - begun
                used = {role: (_cpu_s(processes) - before[role]) / lasted_s for role, processes in roles.items()}
                run.wait(300)
            served = {one.request_id for one in server.requests()}
            return _result(run, workers, used, served)


def _run_file(folder: Path, url: str, workers: int, streams: int, seconds: float) -> Path:
    path = folder / "run.yml"
    path.write_text(yaml.safe_dump({
        "name": "scaling", "endpoints": [{"name": "steady", "protocol": "openai", "url": f"{url}/v1", "model": "m"}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 64, "output_tokens": TOKENS, "count": 5000}],
        "load": {"concurrency": [streams], "ramp": "3s", "warmup": "3s", "window": f"{seconds + 1}s", "drain": "30s",
                 "workers": workers}}))
    return path


def _processes(run: Run) -> dict[str, list[psutil.Process]]:
    locusts = [process for process in psutil.Process(run.process.pid).children(recursive=True)
               if "fmload.locust" in process.cmdline()]
    return {role: [process for process in locusts if f"--{role}" in process.cmdline()] for role in ("master", "worker")}


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(found.user + found.system for found in times)


def _result(run: Run, workers: int, used: dict[str, float], served: set[str]) -> Result:
    stage: dict[str, Any] = json.loads(run.results.stages_json.read_text())["stages"][0]
    start_ns, end_ns = stage["window_start_ns"], stage["window_end_ns"]
    records = pq.read_table(run.results.records, columns=["request_id", "chunk_ns", "end_ns"])
    chunks = records["chunk_ns"].combine_chunks().flatten().to_numpy()
    ends = records["end_ns"].to_numpy()
    window_s = (end_ns - start_ns) / 1e9
    lost = len(served - set(records["request_id"].to_pylist()))
    return Result(workers, float(np.sum((chunks >= start_ns) & (chunks < end_ns))) / window_s, used["worker"],
                  used["master"], float(np.sum((ends >= start_ns) & (ends < end_ns))) / window_s, lost)


def hundred(results: Sequence[Result]) -> tuple[float, float]:
    """Cores of a master with no work and for each further worker, by least squares over the rows (same load in all)."""
    slope, base = np.polyfit([row.workers for row in results], [row.master_cpu for row in results], 1)
    return float(base), float(slope)


def render(results: Sequence[Result], streams: int) -> Table:
    """The table that is printed."""
    table = Table(title=f"{streams} streams at {GAP_S * 1e3:g} ms a token")
    for column in ("workers", "events/s", "requests/s", "CPU of workers", "µs CPU an event", "CPU of master", "lost"):
        table.add_column(column, justify="right")
    for row in results:
        table.add_row(str(row.workers), f"{row.events_per_s:,.0f}", f"{row.requests_per_s:,.1f}",
                      f"{100 * row.workers_cpu:.0f} %", f"{1e6 * row.workers_cpu / row.events_per_s:.1f}",
                      f"{100 * row.master_cpu:.1f} %", str(row.lost))
    return table


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scaling", description="What workers give and cost.")
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=15)
    args = parser.parse_args(argv)
    results = [measure(int(workers), args.streams, args.seconds) for workers in args.workers.split(",")]
    console = Console()
    console.print(render(results, args.streams))
    if len(results) > 1:
        base, slope = hundred(results)
        console.print(f"a worker costs the master {100 * slope:.2f} % of a core; with a hundred: "
                      f"{100 * (base + 100 * slope):.0f} % and the cost of their records")


if __name__ == "__main__":
    main()
