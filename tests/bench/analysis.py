"""Time and peak memory of the analysis of a large run, and of its report: by default one million requests of 200 tokens
in one stage, and a run of a thousand stages, whose report is rendered and opened in Chromium.

    python -m tests.bench.analysis [--requests N] [--tokens N] [--stages N] [--report N]

Ten million: `--requests 10000000 --report 0`, which needs some 9 GB of disk under TMPDIR. CPU is user and system time
of the process; beside other work on the same cores it grows, too, and wall time is worth nothing there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from fmload.model.record import SCHEMA
from fmload.results import journal
from fmload.results.folder import Results

ROWS = 4_096  # of a row group, as the journals are compacted
FILE_ROWS = 250_000
BASE_NS = 1_000_000_000_000
TOKEN_NS, FIRST_NS = 20_000_000, 150_000_000
USERS = 256
ENDPOINTS, LEVELS = 4, 25  # of the report's run: stages are those, times prompt sets
_MEASURE = """
import json, os, sys, time
from pathlib import Path
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.audit.audit import write_audit
from fmload_analysis.run import open_run
from fmload_analysis.verdict.table import write_csv
start = time.perf_counter()
analysis = analyse_run(open_run(Path(sys.argv[1])))
write_csv(analysis.run.results.summary_csv, analysis.rows())
write_audit(analysis.run.results.audit_json, analysis.results)
told = {"wall": time.perf_counter() - start, "cpu": sum(os.times()[:2])}
if "report" in sys.argv:
    from fmload_analysis.report.report import render
    start, before = time.perf_counter(), sum(os.times()[:2])
    render(analysis)
    told |= {"render_wall": time.perf_counter() - start, "render_cpu": sum(os.times()[:2]) - before}
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
row = analysis.rows()[0]
print(json.dumps({**told, "peak_mib": int(status["VmHWM"].split()[0]) / 1024,
                  **{name: row[name] for name in ("requests", "itl_p99_s", "output_tokens_per_s")}}))
"""


def make(root: Path, requests: int, tokens: int, stages: int) -> int:
    """A results folder of so many requests, evenly over the stages; returns the bytes of its records."""
    results = Results(root).create()
    each = requests // stages
    length_ns = FIRST_NS + (tokens - 1) * TOKEN_NS
    window_ns = each // USERS * length_ns + length_ns
    plan, files = [], []
    for number in range(stages):
        start = BASE_NS + number * 2 * window_ns
        plan.append({"stage": number, "step": number, **_place(number), "status": "done", "ramp_start_ns": start,
                     "window_start_ns": start, "window_end_ns": start + window_ns, "drain_end_ns": start + window_ns})
        files += [(number, first, min(FILE_ROWS, each - first), start) for first in range(0, each, FILE_ROWS)]
    with ProcessPoolExecutor(os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()) as pool:
        list(pool.map(partial(_file, results.records, tokens, length_ns), files))
    results.stages_json.write_text(json.dumps({"schema": 1, "run_id": "bench", "stages": plan}))
    results.workers_json.write_text(json.dumps([{"worker": "w0"}]))
    spec = {"name": "bench", "endpoints": [{"name": f"e{k}", "price": {"hourly": 1.0 + k}} for k in range(ENDPOINTS)],
            "objectives": {"ttft_p95": "200ms", "itl_p99": "30ms"}}
    results.run_yml.write_text(yaml.safe_dump(spec))
    return sum(path.stat().st_size for path in results.records.iterdir())


def _place(number: int) -> dict[str, Any]:
    """Endpoint, prompt set and load of a stage: a sweep of LEVELS levels, for each endpoint and prompt set."""
    level, sweep = number % LEVELS, number // LEVELS
    return {"endpoint": f"e{sweep % ENDPOINTS}", "prompt_set": f"p{sweep // ENDPOINTS}",
            "load": {"kind": "concurrency", "value": USERS + level}}


def _file(folder: Path, tokens: int, length_ns: int, file: tuple[int, int, int, int]) -> None:
    number, first, rows, start_ns = file
    jitter = np.random.default_rng((number, first)).normal(0, 1e6, ROWS * tokens + 65_536)
    pool = np.clip(jitter, -9_000_000, 9_000_000).astype(np.int64)
    path = folder / f"stage-{number:04d}-{first:09d}.parquet"
    with journal.writer(path, SCHEMA) as writer:
        for at in range(first, first + rows, ROWS):
            count = min(ROWS, first + rows - at)
            drawn = pool[at % 65_521:][:count * tokens].reshape(count, tokens)
            writer.write_table(_requests(number, at, drawn, start_ns, length_ns))


def _requests(stage: int, first: int, jitter: np.ndarray[Any, Any], start_ns: int, length_ns: int) -> pa.Table:
    """Requests of USERS users one after another; gaps of 20 ms with a jitter of 1 ms."""
    rows, tokens = jitter.shape
    number = np.arange(first, first + rows)
    send = start_ns + number // USERS * length_ns
    stamps = send[:, None] + FIRST_NS + np.arange(tokens) * TOKEN_NS + jitter
    offsets = pa.array(np.arange(rows + 1) * tokens, pa.int32())
    place = _place(stage)
    values: dict[str, Any] = {
        "request_id": [f"{stage}.{i}" for i in number.tolist()], "worker": ["w0"] * rows, "stage": [stage] * rows,
        "endpoint": [place["endpoint"]] * rows, "prompt_set": [place["prompt_set"]] * rows,
        "prompt_id": [f"p{i}" for i in number.tolist()],
        "scheduled_ns": send, "send_ns": send, "first_token_ns": stamps[:, 0], "first_answer_ns": stamps[:, 0],
        "last_token_ns": stamps[:, -1], "end_ns": stamps[:, -1], "address": [""] * rows, "streamed": [True] * rows,
        "stamp": ["kernel"] * rows, "outcome": ["ok"] * rows, "tokens_source": ["server"] * rows,
        "chunk_tokens_known": [True] * rows, "choices": np.ones(rows, np.int32),
        "input_tokens": np.full(rows, 500), "output_tokens": np.full(rows, tokens), "reads": np.full(rows, tokens),
        "lag_max_ns": np.full(rows, 10_000), "lag_sum_ns": np.full(rows, 10_000)}
    lists = {"chunk_ns": stamps.reshape(-1), "chunk_tokens": np.ones(rows * tokens, np.int32),
             "chunk_censored": np.zeros(rows * tokens, np.int8)}
    columns = []
    for field in SCHEMA:
        if field.name in lists:
            columns.append(pa.ListArray.from_arrays(offsets, pa.array(lists[field.name])))
        elif field.name in values:
            columns.append(pa.array(values[field.name]).cast(field.type) if isinstance(values[field.name], np.ndarray)
                           else pa.array(values[field.name], field.type))
        else:
            columns.append(pa.nulls(rows, field.type))
    return pa.table(columns, schema=SCHEMA)


def _measured(folder: str, *asked: str) -> dict[str, Any]:
    found = subprocess.run([sys.executable, "-c", _MEASURE, folder, *asked], check=True, stdout=subprocess.PIPE,
                           text=True)
    told: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return told


def analysed(requests: int, tokens: int, stages: int) -> None:
    """Make a run, analyse it in a process of its own, print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        size = make(Path(folder), requests, tokens, stages)
        made_s = time.perf_counter() - start
        told = _measured(folder)
    print(f"{requests:,} requests × {tokens} tokens in {stages} stage(s), {size / 2**20:,.0f} MiB of records (made in "
          f"{made_s:.0f} s): analysed in {told['wall']:.1f} s ({told['cpu']:.1f} s of CPU), peak memory "
          f"{told['peak_mib']:,.0f} MiB")
    print(f"first stage: {told['requests']:,.0f} requests in the window, ITL p99 {told['itl_p99_s'] * 1000:.6f} ms, "
          f"{told['output_tokens_per_s']:,.0f} tokens/s", flush=True)


def report(stages: int, requests: int = 40, tokens: int = 50) -> None:
    """Make a run of many small stages, render its report and open it, print what that took."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), stages * requests, tokens, stages)
        told = _measured(folder, "report")
        page = Results(Path(folder)).report_html
        print(f"a run of {stages:,} stages of {requests} requests: analysed in {told['wall']:.1f} s "
              f"({told['cpu']:.1f} s of CPU), rendered in {told['render_wall']:.1f} s ({told['render_cpu']:.1f} s), "
              f"peak memory {told['peak_mib']:,.0f} MiB, report.html {page.stat().st_size / 2**20:.1f} MiB")
        _opened(page)


_READY = """() => {
  const timing = performance.getEntriesByType("navigation")[0];
  return {load: timing.loadEventEnd, nodes: document.getElementsByTagName("*").length};
}"""


def _opened(page: Path) -> None:
    """Until its load event, and until the browser is idle and has painted: what a reader waits for."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print("no Chromium here: the page was not opened")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for attempt in ("first", "again"):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            start = time.perf_counter()
            tab.goto(page.as_uri(), wait_until="load")
            tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            painted_s = time.perf_counter() - start
            found = tab.evaluate(_READY)
            print(f"opened in Chromium ({attempt}): load event after {found['load'] / 1000:.2f} s, painted after "
                  f"{painted_s:.2f} s, {found['nodes']:,} elements", flush=True)
            tab.close()
        browser.close()


def main(argv: Sequence[str] | None = None) -> None:
    """Both, or what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.analysis", description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--requests", type=int, default=1_000_000, help="0: none")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--stages", type=int, default=1)
    parser.add_argument("--report", type=int, default=1_000, help="stages of the run whose report is opened; 0: none")
    args = parser.parse_args(argv)
    if args.requests:
        analysed(args.requests, args.tokens, args.stages)
    if args.report:
        report(args.report)


if __name__ == "__main__":
    main()
