"""What a plain request costs its worker: one-token answers as fast as they go, and where that CPU goes.

    python -m tests.bench.requests [--users 64] [--seconds 10] [--profile FILE]

`fmload run` with one worker on a core of its own, the emulator on the other; CPU is read from the worker's own
clock over the window, and divided by the requests that ended in it by the records. `--profile` has py-spy (where it is
installed) write the worker's stacks, for a flame graph.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import yaml
from rich.console import Console

from tests.bench.wire import LIMIT_S, awaited, cores, pinned, watched
from tests.load_rig import emulator, started


def measure(users: int, seconds: float, profile: str | None) -> dict[str, Any]:
    """One run: requests a second, µs of the worker's CPU a request, requests that failed."""
    server_core, client_core = cores()
    with tempfile.TemporaryDirectory() as name, emulator(
            Path(name), "--profile", "steady", "--ttft", "0ms", "--gap", "0ms") as server:
        folder = Path(name)
        psutil.Process(server.process.pid).cpu_affinity([server_core])
        path = _run_file(folder, server.url, users, seconds)
        with started(["-m", "fmload", "run", str(path), "--out", str(folder / "out")], folder) as run:
            awaited(run, run.in_window, "the window")
            worker = pinned(run, server_core, client_core)
            spy = _spied(worker, seconds, profile) if profile else None
            load = watched(worker, seconds)
            if spy is not None:
                spy.wait(LIMIT_S)
            run.wait(LIMIT_S)
        rows = pq.read_table(folder / "out" / "records", columns=["end_ns", "outcome"]).to_pylist()
    inside = [row["outcome"] for row in rows if load.start_ns <= (row["end_ns"] or 0) < load.end_ns]
    lasted_s = (load.end_ns - load.start_ns) / 1e9
    return {"requests/s": len(inside) / lasted_s, "µs of CPU a request": 1e6 * load.cpu_s / max(1, len(inside)),
            "CPU of the worker": load.cpu_s / lasted_s, "failed": sum(outcome != "ok" for outcome in inside)}


def _run_file(folder: Path, url: str, users: int, seconds: float) -> Path:
    path = folder / "run.yml"
    path.write_text(yaml.safe_dump({
        "name": "requests", "endpoints": [{"name": "fast", "protocol": "openai", "url": f"{url}/v1", "model": "m"}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 16, "output_tokens": 1, "count": 5000}],
        "load": {"concurrency": [users], "ramp": "1s", "warmup": "2s", "window": f"{seconds + 2}s", "drain": "10s",
                 "workers": 1}}))
    return path


def _spied(worker: psutil.Process, seconds: float, profile: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["py-spy", "record", "-p", str(worker.pid), "-d", str(int(seconds)), "-r", "200", "-f",
                             "raw", "-o", profile], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.requests", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--users", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--profile", metavar="FILE")
    args = parser.parse_args(argv)
    for what, value in measure(args.users, args.seconds, args.profile).items():
        Console().print(f"{what:24}{value:,.2f}")


if __name__ == "__main__":
    main()
