"""1,000 sessions of an agent at a time on one worker: `python -m tests.bench.sessions [SESSIONS]`.

Two tools and a sub-agent beside one of them, on the emulator. Prints the durations beside the closed form (from the
first send to the last token), what the client itself added on the critical path, and what the worker took: CPU, lag of
its loop, memory.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from fmload.base.resources import read_json_lines
from tests.load_rig import Run, emulator, run_file, sweep

TTFT_S, GAP_S, SEARCH_S, CALC_S = 0.5, 0.1, 1.5, 1.0
AGENT: dict[str, Any] = {
    "name": "job", "source": "agents", "count": 3000, "system_tokens": 100,
    "tools": {"search": "1500ms", "calc": "1s"}, "steps": [
        {"ask": "plan", "input_tokens": 50, "output_tokens": 10},
        {"parallel": [{"tool": "search"}, [{"agent": "reader", "steps": [{"ask": "read", "input_tokens": 50,
                                                                          "output_tokens": 5}]}]]},
        {"tool": "calc"}, {"ask": "write", "output_tokens": 20}]}
CLOSED_FORM_S = (TTFT_S + 9 * GAP_S) + max(SEARCH_S, TTFT_S + 4 * GAP_S) + CALC_S + (TTFT_S + 19 * GAP_S)


def main(args: list[str]) -> None:
    """One run of 40 s."""
    sessions = int(args[0]) if args else 1000
    load = {"concurrency": [sessions], "ramp": "8s", "warmup": "10s", "window": "40s", "workers": 1}
    with tempfile.TemporaryDirectory(prefix="fmload-bench-") as name:
        folder = Path(name)
        with emulator(folder, "--ttft", f"{TTFT_S}s", "--gap", f"{GAP_S}s") as server:
            with sweep(folder, run_file(folder, {"a": server.url}, load, prompts=[AGENT]), processes=1) as run:
                code = run.wait(400)
            _tell(run, sessions, code)


def _tell(run: Run, sessions: int, code: int) -> None:
    stage, = run.stages()
    window = range(stage["window_start_ns"], stage["window_end_ns"])
    rows = [row for row in pq.read_table(run.results.sessions_parquet).to_pylist()
            if row["outcome"] == "finished" and row["end_ns"] in window]
    outcomes = {record.outcome for record in run.records()}
    durations = np.array([row["end_ns"] - row["begin_ns"] for row in rows]) / 1e9
    parts = ("path_waiting_ns", "path_decoding_ns", "path_tools_ns", "path_thinking_ns")
    own = np.array([row["end_ns"] - row["begin_ns"] - sum(row[part] for part in parts) for row in rows]) / 1e9
    late = np.array([record.send_ns - record.scheduled_ns for record in run.records() if record.send_ns]) / 1e9
    health = [line for line in read_json_lines(run.results.health_jsonl) if line["at_ns"] in window]
    print(f"exit {code}; {sessions} sessions at a time, {len(rows)} finished in the window, outcomes {outcomes}")
    print(f"duration: closed form {CLOSED_FORM_S:.3f} s; min {durations.min():.3f}, "
          + ", ".join(f"p{p} {np.percentile(durations, p):.3f}" for p in (50, 95, 99)))
    print(f"the client's own on the critical path: p50 {np.percentile(own, 50) * 1e3:.1f} ms, "
          f"p99 {np.percentile(own, 99) * 1e3:.1f} ms; sends late by p99 {np.percentile(late, 99) * 1e3:.1f} ms")
    for key in ("cpu_fraction", "loop_lag_p99_ns", "rss_bytes"):
        values = [line[key] for line in health if line.get(key) is not None]
        print(f"{key}: median {np.median(values):.4g}, most {max(values):.4g}")


if __name__ == "__main__":
    main(sys.argv[1:])
