"""What collectors cost: CPU of their process, the error of the token stamps and the lateness of sends beside them.

    python -m tests.bench.telemetry [--rate 32] [--seconds 12]

The same open loop (Poisson arrivals of two-second answers) without collectors; with one Prometheus endpoint a second,
as usual; and with four endpoints five times a second and a neuron-monitor besides. The error is a chunk's stamp less
the instant just before the emulator sent it; the lateness is from the instant that the schedule wanted to the send.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from tests.load_rig import Run, Server, emulator, run_file, started, wait_until

CORES = {str(core): {"neuroncore_utilization": 50.0} for core in range(32)}
NEURON = {"neuron_runtime_data": [{"pid": 1, "report": {"neuroncore_counters": {"neuroncores_in_use": CORES}}}]}
MONITOR = [sys.executable, "-c", f"""
import time
while True:
    print({json.dumps(json.dumps(NEURON))}, flush=True)
    time.sleep(0.2)
"""]


@dataclass(frozen=True)
class Result:
    """One row. CPU in cores; median and 99th percentile of errors and lateness in seconds."""

    collectors: str
    samples: int
    cpu: float
    error_s: tuple[float, float]
    late_s: tuple[float, float]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.telemetry", description=__doc__)
    parser.add_argument("--rate", type=float, default=32, help="requests a second; twice as many are in flight")
    parser.add_argument("--seconds", type=float, default=12)
    args = parser.parse_args(argv)
    table = Table(title=f"{args.rate:g} requests a second, about {2 * args.rate:g} streams at 20 ms a token", box=None)
    for column in ("collectors", "samples", "CPU", "stamps p50", "p99", "late p50", "p99"):
        table.add_column(column, justify="right")
    for name in ("none", "one a second", "four at 5/s and neuron-monitor"):
        row = measure(name, args.rate, args.seconds)
        table.add_row(row.collectors, f"{row.samples:,}", f"{100 * row.cpu:.1f} %",
                      *(f"{1e6 * value:.0f} µs" for value in (*row.error_s, *row.late_s)))
    Console().print(table)
    return 0


def collectors(name: str, url: str) -> list[dict[str, Any]]:
    """The collectors of a row."""
    every = {"none": [], "one a second": ["1s"], "four at 5/s and neuron-monitor": ["200ms"] * 4}[name]
    scrapes = [{"name": f"vllm{place}", "collector": "prometheus", "url": f"{url}/metrics", "every": pause}
               for place, pause in enumerate(every)]
    monitor = {"name": "neuron", "collector": "neuron_monitor", "command": MONITOR}
    return [*scrapes, *([monitor] if len(every) > 1 else [])]


def measure(name: str, rate: float, seconds: float) -> Result:
    """One run of real processes."""
    load = {"rate": [rate], "arrivals": "poisson", "ramp": 0, "warmup": "3s", "window": f"{seconds + 1}s",
            "drain": "20s"}
    prompts = [{"name": "p", "source": "synthetic", "input_tokens": 64, "output_tokens": 100, "count": 1000}]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with emulator(folder, "--ttft", "50ms", "--gap", "20ms") as server:
            path = run_file(folder, {"a": server.url}, load, prompts=prompts, telemetry=collectors(name, server.url))
            with started(["-m", "fmload", "run", str(path), "--out", str(folder / "out")], folder) as run:
                wait_until(run.in_window, 60, "the window")
                watched = psutil.Process(run.process.pid)
                before, begun = watched.cpu_times(), time.monotonic()
                time.sleep(seconds)
                after, lasted_s = watched.cpu_times(), time.monotonic() - begun
                run.wait(120)
            cpu = (after.user + after.system - before.user - before.system) / lasted_s
            return _result(name, run, server, cpu)


def _result(name: str, run: Run, server: Server, cpu: float) -> Result:
    errors, late = _errors_ns(run, server) / 1e9, _late_ns(run) / 1e9
    file = run.results.telemetry_parquet
    samples = pq.read_metadata(file).num_rows if file.exists() else 0
    return Result(name, samples, cpu, _quantiles(errors), _quantiles(late))


def _quantiles(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    return float(np.quantile(values, 0.5)), float(np.quantile(values, 0.99))


def _late_ns(run: Run) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Of the requests that were to be sent in the window."""
    stage, = run.stages()
    offsets = {entry["worker"]: entry["clock_offset_ns"] for entry in run.workers()}
    return np.array([record.send_ns - record.scheduled_ns for record in run.records() if record.send_ns is not None
                     and stage["window_start_ns"] <= record.scheduled_ns - offsets[record.worker]
                     < stage["window_end_ns"]], np.int64)


def _errors_ns(run: Run, server: Server) -> np.ndarray[Any, np.dtype[np.int64]]:
    sent = {one.request_id: np.frombuffer(one.token_ns, np.int64) for one in server.requests()}
    offsets = {entry["worker"]: entry["clock_offset_ns"] for entry in run.workers()}
    return np.concatenate([
        np.frombuffer(record.chunk_ns, np.int64) - offsets[record.worker] - sent[record.request_id]
        for record in run.records() if len(record.chunk_ns) == len(sent.get(record.request_id, ()))])


if __name__ == "__main__":
    raise SystemExit(main())
