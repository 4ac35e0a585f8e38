"""What the wire measures, and what that costs: this project's users beside requests' and the openai SDK's.

    python -m tests.bench.wire [--streams 256,512,1024] [--clients ours,ours-tls,requests,sdk] [--seconds 12]

The server is the emulator, alone on one core; its truth log holds the kernel's receive stamp of every request and
the instant of every write. The client is a Locust worker, alone on another core; its master runs beside the server.
An error is |measured − true| of one request's TTFT or of one gap between tokens. CPU is the whole worker's.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from rich.console import Console
from rich.table import Table

from fmload.emulator import truth

TTFT_S, GAP_S, TOKENS = 0.2, 0.02, 128
CYCLE_S = TTFT_S + GAP_S * TOKENS
LOCUSTFILE = Path(__file__).with_name("locustfile.py")
CLIENTS = {"ours": "Ours", "ours-tls": "Ours", "requests": "Requests", "sdk": "Sdk"}


@dataclass(frozen=True)
class Result:
    """One row of the table. Errors in ms, CPU in µs a token; None where nothing was measured."""

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


@contextmanager
def emulator(folder: Path, core: int, *options: str) -> Iterator[dict[str, Any]]:
    """A running emulator, as its ready file describes it, with its truth log in `folder`."""
    ready, log = folder / "ready.json", (folder / "emulator.log").open("wb")
    command = [sys.executable, "-m", "fmload.emulator", "--port", "0", "--ready-file", str(ready),
               "--truth", str(folder / "truth.log"), *options]
    process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    try:
        for _ in range(300):
            if ready.exists() and ready.stat().st_size:
                break
            if process.poll() is not None:
                raise RuntimeError((folder / "emulator.log").read_text())
            time.sleep(0.1)
        yield json.loads(ready.read_text())
    finally:
        _stop(process)
        log.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_locust(client: str, streams: int, seconds: float, server: dict[str, Any], folder: Path,
               tokens: int = TOKENS) -> dict[str, Any]:
    """Load from one Locust worker for so long; what it saw."""
    server_core, client_core = cores()
    port, out = free_port(), folder / "seen.msgpack"
    environment = {**os.environ, "FMLOAD_BENCH_URL": server["url"], "FMLOAD_BENCH_CA": server.get("ca_file") or "",
                   "FMLOAD_BENCH_TOKENS": str(tokens), "FMLOAD_BENCH_CYCLE_S": str(CYCLE_S),
                   "FMLOAD_BENCH_OUT": str(out), "PYTHONPATH": str(LOCUSTFILE.parents[2])}
    locust = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), CLIENTS[client], "--loglevel", "WARNING"]
    master = [*locust, "--master", "--master-bind-port", str(port), "--expect-workers", "1", "--headless",
              "-u", str(streams), "-r", str(streams), "-t", f"{seconds + CYCLE_S + 4:.0f}s", "--only-summary"]
    worker = [*locust, "--worker", "--master-port", str(port)]
    with (folder / "locust.log").open("ab") as log:
        processes = [subprocess.Popen(command, env=environment, stdout=log, stderr=log,
                                      preexec_fn=lambda core=core: os.sched_setaffinity(0, {core}))
                     for command, core in ((master, server_core), (worker, client_core))]
        try:
            processes[0].wait(seconds + CYCLE_S + 120)
            for _ in range(300):  # the worker writes when its users have been stopped
                if out.exists():
                    break
                time.sleep(0.1)
        finally:
            for process in processes:
                process.kill()
                process.wait()
    return msgpack.unpackb(out.read_bytes())  # type: ignore[no-any-return]


def judge(client: str, streams: int, seen: dict[str, Any], truths: Sequence[truth.Truth], seconds: float) -> Result:
    """Compare what the client saw in the last `seconds` with what the server did."""
    by_id = {item.request_id: item for item in truths}
    samples = np.array(seen["samples"])
    samples = samples[samples[:, 0] >= samples[-1, 0] - seconds * 1e9]
    start_ns, end_ns = samples[0, 0], samples[-1, 0]
    ttft, gaps, censored, tokens, failed = [], [], 0, 0, 0
    for request_id, send_ns, token_ns, flags, outcome in seen["requests"]:
        failed += outcome not in ("ok", "cancelled")
        arrived = np.frombuffer(token_ns, np.int64)
        inside = (arrived >= start_ns) & (arrived <= end_ns)
        tokens += int(inside.sum())
        censored += int(np.frombuffer(flags, np.int8)[inside].sum()) if flags else 0
        true = by_id.get(request_id)
        if true is None or outcome != "ok" or not inside.all() or len(true.token_ns) != len(arrived):
            continue
        written = np.array(true.token_ns)
        ttft.append(abs((arrived[0] - send_ns) - (written[0] - true.received_ns)))
        gaps.append(np.abs(np.diff(arrived) - np.diff(written)))
    cpu_ns = samples[-1, 1] - samples[0, 1]
    return Result(client, streams, tokens / (end_ns - start_ns) * 1e9, _p50_p99(ttft),
                  _p50_p99(np.concatenate(gaps) if gaps else []), censored / max(tokens, 1),
                  cpu_ns / max(tokens, 1) / 1e3, cpu_ns / (end_ns - start_ns), failed, samples[-1, 2] / 1e6)


def _p50_p99(values_ns: Any) -> tuple[float, float] | None:
    if len(values_ns) == 0:
        return None
    return float(np.percentile(values_ns, 50) / 1e6), float(np.percentile(values_ns, 99) / 1e6)


def measure_one(client: str, streams: int, seconds: float) -> Result:
    """One row: a fresh emulator, a fresh master and worker."""
    options = ["--ttft", f"{TTFT_S}s", "--gap", f"{GAP_S}s", *(["--tls"] if client.endswith("-tls") else [])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with emulator(folder, cores()[0], *options) as server:
            seen = run_locust(client, streams, seconds, server, folder)
        return judge(client, streams, seen, truth.read(folder / "truth.log"), seconds)


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
    parser.add_argument("--clients", default="ours,ours-tls,requests,sdk")
    parser.add_argument("--seconds", type=float, default=12.0, help="measured, after the start")
    args = parser.parse_args(argv)
    results = []
    for streams in map(int, args.streams.split(",")):
        for client in args.clients.split(","):
            results.append(measure_one(client, streams, args.seconds))
            Console(stderr=True).print(results[-1])
    Console(width=150).print(render(results))


if __name__ == "__main__":
    main()
