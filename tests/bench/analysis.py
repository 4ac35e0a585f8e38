"""Time and peak memory of the analysis of a large run: by default one million requests of 200 tokens, in one stage.

    python -m tests.bench.analysis [--requests N] [--tokens N] [--stages N]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from fmload.model.record import SCHEMA
from fmload.results.folder import Results

ROWS = 10_000
BASE_NS = 1_000_000_000_000
TOKEN_NS, FIRST_NS = 20_000_000, 150_000_000
USERS = 256
_MEASURE = """
import sys, time
from pathlib import Path
from analysis.load import open_run
from analysis.pipeline import analyse_run
from analysis.audit import write_audit
from analysis.table import write_csv
start = time.perf_counter()
analysis = analyse_run(open_run(Path(sys.argv[1])))
write_csv(analysis.run.results.summary_csv, analysis.rows())
write_audit(analysis.run.results.audit_json, analysis.results)
seconds = time.perf_counter() - start
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
row = analysis.rows()[0]
print(seconds, int(status["VmHWM"].split()[0]) / 1024, row["requests"], row["itl_p99_s"], row["output_tokens_per_s"])
"""


def make(root: Path, requests: int, tokens: int, stages: int) -> int:
    """A results folder of so many requests, evenly over the stages; returns the bytes of its records."""
    results = Results(root).create()
    each = requests // stages
    length_ns = FIRST_NS + (tokens - 1) * TOKEN_NS
    window_ns = each // USERS * length_ns + length_ns
    plan = []
    for number in range(stages):
        start = BASE_NS + number * 2 * window_ns
        plan.append({"stage": number, "step": number, "endpoint": "a", "prompt_set": "p",
                     "load": {"kind": "concurrency", "value": USERS}, "status": "done", "ramp_start_ns": start,
                     "window_start_ns": start, "window_end_ns": start + window_ns, "drain_end_ns": start + window_ns})
        with pq.ParquetWriter(results.records / f"stage-{number:04d}.parquet", SCHEMA, compression="zstd") as writer:
            for first in range(0, each, ROWS):
                writer.write_table(_requests(number, first, min(ROWS, each - first), tokens, start, length_ns))
    results.stages_json.write_text(json.dumps({"schema": 1, "run_id": "bench", "stages": plan}))
    results.workers_json.write_text(json.dumps([{"worker": "w0"}]))
    spec = {"name": "bench", "endpoints": [{"name": "a", "price": {"hourly": 1.0}}]}
    results.run_yml.write_text(yaml.safe_dump(spec))
    return sum(path.stat().st_size for path in results.records.iterdir())


def _requests(stage: int, first: int, rows: int, tokens: int, start_ns: int, length_ns: int) -> pa.Table:
    """Requests of USERS users one after another; gaps of 20 ms with a jitter of 1 ms."""
    rng = np.random.default_rng((stage, first))
    number = np.arange(first, first + rows)
    send = start_ns + number // USERS * length_ns
    jitter = rng.normal(0, 1e6, (rows, tokens)).astype(np.int64)
    stamps = send[:, None] + FIRST_NS + np.arange(tokens) * TOKEN_NS + np.clip(jitter, -9_000_000, 9_000_000)
    offsets = pa.array(np.arange(rows + 1) * tokens, pa.int32())
    ones = np.ones(rows * tokens)
    values: dict[str, Any] = {
        "request_id": [f"{stage}.{i}" for i in number.tolist()], "worker": ["w0"] * rows, "stage": [stage] * rows,
        "endpoint": ["a"] * rows, "prompt_set": ["p"] * rows, "prompt_id": [f"p{i}" for i in number.tolist()],
        "scheduled_ns": send, "send_ns": send, "first_token_ns": stamps[:, 0], "first_answer_ns": stamps[:, 0],
        "last_token_ns": stamps[:, -1], "end_ns": stamps[:, -1], "address": [""] * rows, "streamed": [True] * rows,
        "stamp": ["kernel"] * rows, "outcome": ["ok"] * rows, "tokens_source": ["server"] * rows,
        "input_tokens": np.full(rows, 500), "output_tokens": np.full(rows, tokens), "reads": np.full(rows, tokens),
        "lag_max_ns": np.full(rows, 10_000), "lag_sum_ns": np.full(rows, 10_000)}
    lists = {"chunk_ns": stamps.reshape(-1), "chunk_tokens": ones, "chunk_censored": ones * 0}
    columns = []
    for field in SCHEMA:
        if field.name in lists:
            flat = pa.array(lists[field.name].astype(field.type.value_type.to_pandas_dtype()))
            columns.append(pa.ListArray.from_arrays(offsets, flat))
        elif field.name in values:
            columns.append(pa.array(values[field.name]).cast(field.type) if isinstance(values[field.name], np.ndarray)
                           else pa.array(values[field.name], field.type))
        else:
            columns.append(pa.nulls(rows, field.type))
    return pa.table(columns, schema=SCHEMA)


def main(argv: Sequence[str] | None = None) -> None:
    """Make a run, analyse it in a process of its own, print what it took."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.analysis", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--stages", type=int, default=1)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        size = make(Path(folder), args.requests, args.tokens, args.stages)
        made_s = time.perf_counter() - start
        measured = subprocess.run([sys.executable, "-c", _MEASURE, folder], check=True, capture_output=True, text=True)
    seconds, peak_mib, requests, itl_p99, tokens_per_s = map(float, measured.stdout.split())
    print(f"{args.requests:,} requests × {args.tokens} tokens in {args.stages} stage(s), {size / 2**20:,.0f} MiB of "
          f"records (made in {made_s:.0f} s): analysed in {seconds:.1f} s, peak memory {peak_mib:,.0f} MiB")
    print(f"first stage: {requests:,.0f} requests in the window, ITL p99 {itl_p99 * 1000:.3f} ms, "
          f"{tokens_per_s:,.0f} tokens/s")


if __name__ == "__main__":
    main()
