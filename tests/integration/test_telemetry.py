"""Collectors beside a real load: what they bring, and that none of them can fail a run."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from handmade import pages

from fmload.config.schema import TelemetrySpec
from fmload.results.folder import Results
from fmload.telemetry.recorder import Recorder
from tests.load_rig import emulator, run_file, started, wait_until

LOAD = {"concurrency": [4], "ramp": "500ms", "warmup": "500ms", "window": "4s", "drain": "10s"}
NEURON_LINE = {"neuron_runtime_data": [{"pid": 1, "report": {
    "neuroncore_counters": {"neuroncores_in_use": {"0": {"neuroncore_utilization": 50.0}}}}}]}
FOR_EVER = f"""
import time
while True:
    print({json.dumps(json.dumps(NEURON_LINE))}, flush=True)
    time.sleep(0.2)
"""
NEURON = [sys.executable, "-c", FOR_EVER]


def series_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    series = defaultdict(list)
    for row in pq.read_table(path).to_pylist():
        series[row["metric"]].append(row)
    return series


def test_a_run_keeps_what_its_endpoint_did_on_the_runs_own_clock_and_warns_of_what_failed(tmp_path: Path) -> None:
    with emulator(tmp_path, "--profile", "steady", "--ttft", "50ms", "--gap", "10ms") as server:
        telemetry = [
            {"name": "vllm", "collector": "prometheus", "url": f"{server.url}/metrics", "every": "200ms"},
            {"name": "neuron", "collector": "neuron_monitor", "command": NEURON},
            {"name": "gpu", "collector": "nvidia_smi", "command": ["no-such-nvidia-smi"]},
            {"name": "gone", "collector": "prometheus", "url": "http://127.0.0.1:9/metrics"}]
        path = run_file(tmp_path, {"steady": server.url}, LOAD, telemetry=telemetry)
        with started(["-m", "fmload", "run", str(path), "--out", str(tmp_path / "out")], tmp_path) as run:
            assert run.wait() == 0, run.output()
        finished = len(server.requests())
    series = series_of(run.results.telemetry_parquet)
    stage, = run.stages()
    inside = [row["value"] for row in series["vllm:num_requests_running"]
              if stage["window_start_ns"] <= row["at_ns"] <= stage["window_end_ns"]]
    assert len(inside) >= 5
    assert sorted(inside)[len(inside) // 2] == 4
    assert {row["value"] for row in series["neuroncore_utilization_percent"]} == {50.0}
    tokens = [row["value"] for row in series["vllm:generation_tokens_total"]]
    assert 0 < max(tokens) <= 5 * (finished + 1)
    problems = json.loads(run.results.telemetry_problems_json.read_text())
    assert set(problems) == {"gpu", "gone"}
    assert problems["gone"]["times"] > 1
    told = pages(run.results)
    assert "127.0.0.1:9/metrics: Connection refused" in told and "check that it runs" in told
    assert "vllm:num_requests_running" in pages(run.results)


def test_a_collector_killed_in_the_run_is_a_warning_and_what_it_brought_is_kept(tmp_path: Path) -> None:
    spec = TelemetrySpec.model_validate({"name": "neuron", "collector": "neuron_monitor", "command": [
        sys.executable, "-c", f"print({json.dumps(json.dumps(NEURON_LINE))}, flush=True); raise SystemExit(3)"]})
    results = Results(tmp_path).create()
    recorder = Recorder([spec], results)
    recorder.start()
    wait_until(lambda: recorder.problems, 20, "the collector's end")
    recorder.stop()
    assert "ended with code 3" in str(recorder.problems["neuron"]["message"])
    assert len(series_of(results.telemetry_parquet)["neuroncore_utilization_percent"]) == 1
