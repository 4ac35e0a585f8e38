"""SageMaker and Bedrock: errors of the token times against the server's truth, and CPU beside boto3's own streams.

    python -m tests.bench.aws [--streams 128] [--seconds 10]

The server is the emulator, alone on one core; the client process is alone on another. An error is |measured − true| of
one request's TTFT, of one gap between tokens, or of one request's TPOT; instants that are marked as censored are left
out, and counted. CPU is the whole client
process's, divided by the tokens that came meanwhile. In the `held` rows a greenlet holds the client's loop in blocks
of 30 ms, a fifth of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from rich.console import Console
from rich.table import Table

from fmload.emulator import truth
from tests.bench.wire import cores
from tests.load_rig import Server, emulator

TTFT_S, TOKENS = 0.2, 64
BLOCK_S, PAUSE_S = 0.03, 0.12
LATE_NS = 2_000_000  # so late after the server's stamp; a server that lost its core before the send is late, too


@dataclass(frozen=True)
class Case:
    """One row: who streams, over what, at which pace, and whether the loop is held meanwhile."""

    client: str
    tls: bool = False
    gap_s: float = 0.02
    held: bool = False

    @property
    def name(self) -> str:
        return f"{self.client}{' TLS' if self.tls else ''}{f', held, {self.gap_s * 1e3:.0f} ms' if self.held else ''}"


CASES = [
    Case("sagemaker"), Case("boto3-sagemaker"), Case("converse"), Case("boto3-converse"),
    Case("sagemaker", tls=True), Case("converse", tls=True), Case("boto3-converse", tls=True),
    Case("converse", gap_s=0.05, held=True), Case("converse", gap_s=0.02, held=True),
    Case("sagemaker", tls=True, gap_s=0.05, held=True),
]


@dataclass(frozen=True)
class Result:
    """Errors in ms at p50 and p99, CPU in µs a token. `unmarked`: late tokens that were not marked as censored."""

    tokens_per_s: float
    cpu_us: float
    cpu_share: float
    failed: int
    ttft_ms: tuple[float, float] | None = None
    gap_ms: tuple[float, float] | None = None
    tpot_ms: tuple[float, float] | None = None
    censored: float = 0.0
    unmarked: int = 0


def run(case: Case, streams: int, seconds: float) -> Result:
    """A fresh emulator and a fresh client."""
    options = ["--ttft", f"{TTFT_S}s", "--gap", f"{case.gap_s}s", *(["--tls"] if case.tls else [])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with emulator(folder, *options) as server:
            os.sched_setaffinity(server.process.pid, {cores()[0]})
            seen = _client(case, streams, seconds, server, folder / "seen")
        return judge(seen, truth.read(server.truth_log))


def _client(case: Case, streams: int, seconds: float, server: Server, out: Path) -> dict[str, Any]:
    cycle_s = TTFT_S + case.gap_s * TOKENS
    plan = {"client": case.client, "url": server.url, "ca_file": server.ca_file, "streams": streams,
            "tokens": TOKENS, "seconds": seconds, "cycle_s": cycle_s, "out": str(out),
            "block_s": BLOCK_S if case.held else 0, "pause_s": PAUSE_S}
    core = cores()[1]
    subprocess.run([sys.executable, "-m", "tests.bench.aws_client", json.dumps(plan)], check=True,
                   timeout=seconds + cycle_s + 120, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    return msgpack.unpackb(out.read_bytes())  # type: ignore[no-any-return]


def judge(seen: dict[str, Any], truths: Iterable[truth.Truth]) -> Result:
    """What the client saw, beside what the server did; boto3's requests carry no id, and are judged by CPU alone."""
    by_id = {item.request_id: item for item in truths}
    start_ns, stop_ns = seen["start_ns"], seen["stop_ns"]
    ttft, gaps, tpot, tokens, failed, censored, unmarked, compared = [], [], [], 0, 0, 0, 0, 0
    for request_id, send_ns, token_ns, flags, outcome in seen["seen"]:
        arrived = np.array(token_ns)
        tokens += int(((arrived >= start_ns) & (arrived < stop_ns)).sum())
        failed += outcome != "ok" or len(arrived) != TOKENS
        true = by_id.get(request_id)
        if true is None or len(true.token_ns) != len(arrived) or send_ns < start_ns or arrived[-1] >= stop_ns:
            continue
        written, hidden = np.array(true.token_ns), np.array(flags, dtype=bool)
        known = ~(hidden[1:] | hidden[:-1])
        gaps.append(np.abs(np.diff(arrived) - np.diff(written))[known])
        if not hidden[0]:
            ttft.append(abs((arrived[0] - send_ns) - (written[0] - true.received_ns)))
            tpot.append(abs((arrived[-1] - arrived[0]) - (written[-1] - written[0])) / (len(arrived) - 1))
        censored += int(hidden.sum())
        unmarked += int(((arrived - written > LATE_NS) & ~hidden).sum())
        compared += len(arrived)
    return Result(tokens / (stop_ns - start_ns) * 1e9, seen["cpu_ns"] / max(tokens, 1) / 1e3,
                  seen["cpu_ns"] / (stop_ns - start_ns), failed, _p50_p99(ttft),
                  _p50_p99(np.concatenate(gaps) if gaps else []), _p50_p99(tpot),
                  censored / max(compared, 1), unmarked)


def _p50_p99(values_ns: Any) -> tuple[float, float] | None:
    if len(values_ns) == 0:
        return None
    return float(np.percentile(values_ns, 50) / 1e6), float(np.percentile(values_ns, 99) / 1e6)


def render(rows: Sequence[tuple[Case, Result]], streams: int) -> Table:
    """The table of errors and costs."""
    table = Table(title=f"|measured − true| in ms (p50 / p99), and the client's CPU; {streams} streams")
    for name in ("client", "tokens/s", "CPU µs/token", "core", "TTFT", "ITL", "TPOT", "censored", "late, unmarked",
                 "failed"):
        table.add_column(name, justify="left" if name == "client" else "right")
    for case, row in rows:
        errors = ["n/a" if pair is None else f"{pair[0]:.3f} / {pair[1]:.3f}"
                  for pair in (row.ttft_ms, row.gap_ms, row.tpot_ms)]
        marks = ["n/a", "n/a"] if row.ttft_ms is None else [f"{row.censored:.2%}", str(row.unmarked)]
        cpu = ["n/a", "n/a"] if case.held else [f"{row.cpu_us:.1f}", f"{row.cpu_share:.0%}"]
        table.add_row(case.name, f"{row.tokens_per_s:.0f}", *cpu, *errors, *marks, str(row.failed))
    return table


def main(argv: Sequence[str] | None = None) -> None:
    """Run every case and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.aws", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--streams", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=10.0, help="measured, after the start")
    parser.add_argument("--only", default="", help="only clients whose name contains this")
    args = parser.parse_args(argv)
    rows = [(case, run(case, args.streams, args.seconds)) for case in CASES if args.only in case.name]
    Console(width=150).print(render(rows, args.streams))


if __name__ == "__main__":
    main()
