"""Collectors beside a real load: what they bring, and that none of them can fail a run."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from fmload.config.schema import TelemetrySpec
from fmload.results import Results
from fmload.telemetry.cloudwatch import CloudWatch
from fmload.telemetry.recorder import Recorder
from fmload.telemetry.sample import Window
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
        with started(["-m", "fmload.cli", "run", str(path), "--out", str(tmp_path / "out")], tmp_path) as run:
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
    assert "vllm:num_requests_running" in run.results.report_md.read_text()


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


def test_cloudwatch_is_asked_when_the_load_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in (("AWS_ENDPOINT_URL", f"http://{host}:{port}"), ("AWS_ACCESS_KEY_ID", "test"),
                            ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_DEFAULT_REGION", "us-east-1")):
            monkeypatch.setenv(name, value)
        start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=5)
        dimensions = [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "AllTraffic"}]
        boto3.client("cloudwatch").put_metric_data(Namespace="/aws/sagemaker/Endpoints", MetricData=[
            {"MetricName": "GPUUtilization", "Dimensions": dimensions, "Value": 80.0 + minute,
             "Timestamp": start + timedelta(minutes=minute)} for minute in range(3)])
        collector = CloudWatch("cw", CloudWatch.Options.model_validate(
            {"service": "sagemaker", "endpoint_name": "e", "delay": "0s"}))
        window = Window(0, 120 * 10**9, int(start.timestamp() * 1e9))
        found = sorted((sample.at_ns, sample.value) for sample in collector.after(window)
                       if sample.metric == "GPUUtilization")
        assert found == [(0, 80.0), (60 * 10**9, 81.0), (120 * 10**9, 82.0)]
    finally:
        server.stop()
