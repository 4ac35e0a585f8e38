"""Exporters of accelerators and serving engines over real HTTP, each gone in mid-run; a server that lies."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from handmade import pages

from fmload.config.schema import TelemetrySpec
from fmload.results.folder import Results
from fmload.telemetry.recorder import Recorder
from tests.load_rig import emulator, fmload_run, run_file, wait_until

# What each prints, in its documented format: a line or two of what is kept, and one of what is not.
EXPOSITIONS = {
    "dcgm": """\
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1",device="nvidia0",modelName="NVIDIA A10G",Hostname="h"} 87
# TYPE DCGM_FI_DEV_POWER_USAGE gauge
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-1",device="nvidia0",modelName="NVIDIA A10G",Hostname="h"} 211.5
""",
    "neuron": """\
# TYPE neuroncore_utilization_ratio gauge
neuroncore_utilization_ratio{instance_type="inf2.xlarge",neuroncore="0",runtime_tag="1"} 0.42
# TYPE neuron_runtime_memory_used_bytes gauge
neuron_runtime_memory_used_bytes{instance_type="inf2.xlarge",memory_location="neuron_device"} 1.5e10
# TYPE execution_status_total counter
execution_status_total{instance_type="inf2.xlarge",status_type="completed"} 1200
""",
    "sglang": """\
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{model_name="m"} 3.0
# TYPE sglang:token_usage gauge
sglang:token_usage{model_name="m"} 0.28
""",
    "tgi": """\
# TYPE tgi_queue_size gauge
tgi_queue_size 4
# TYPE tgi_batch_current_size gauge
tgi_batch_current_size 8
""",
    "llamacpp": """\
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 2
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 512
""",
    "djl": """\
# HELP QueueTime : prometheus histogram metric, unit: Microseconds
# TYPE QueueTime histogram
QueueTime_bucket{Model="m",le="+Inf"} 12
QueueTime_count{Model="m"} 12
QueueTime_sum{Model="m"} 48000.0
# HELP Response_2XX_total : prometheus counter metric, unit: Count
# TYPE Response_2XX_total counter
Response_2XX_total{Host="h"} 12.0
# HELP RollingBatchSize : prometheus gauge metric, unit: Count/Item
# TYPE RollingBatchSize gauge
RollingBatchSize{Model="m"} 16.0
""",
    "node": """\
# TYPE node_load1 gauge
node_load1 1.25
# TYPE node_memory_MemAvailable_bytes gauge
node_memory_MemAvailable_bytes 6.1e10
""",
}
KEPT = {"dcgm": "DCGM_FI_DEV_POWER_USAGE", "neuron": "neuroncore_utilization_ratio", "sglang": "sglang:token_usage",
        "tgi": "tgi_queue_size", "llamacpp": "llamacpp:tokens_predicted_total", "djl": "RollingBatchSize",
        "node": "node_load1"}


@contextmanager
def exporter(text: str) -> Iterator[tuple[str, ThreadingHTTPServer]]:
    """An exporter on a free port that prints this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics", server
    finally:
        server.shutdown()
        server.server_close()


def test_every_exporter_is_read_and_one_that_dies_is_a_warning_with_what_it_had_told_kept(tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(exporter(text)) for name, text in EXPOSITIONS.items()}
        specs = [TelemetrySpec.model_validate({
            "name": name, "collector": "prometheus", "url": url, "every": "100ms",
            **({"metrics": ["node_load*"]} if name == "node" else {})}) for name, (url, _) in servers.items()]
        results = Results(tmp_path).create()
        recorder = Recorder(specs, results)
        recorder.start()
        log = results.logs / "telemetry.jsonl"
        wait_until(lambda: log.exists() and all(metric in log.read_text() for metric in KEPT.values()), 20, "all of it")
        for _, server in servers.values():
            server.shutdown()
            server.server_close()
        wait_until(lambda: set(recorder.problems) == set(EXPOSITIONS), 20, "a problem of each")
        recorder.stop()
    kept = defaultdict(set)
    for row in pq.read_table(results.telemetry_parquet).to_pylist():
        kept[row["source"]].add((row["metric"], row["value"]))
    told = {name: {metric for metric, _ in rows} for name, rows in kept.items()}
    assert set(told) == set(KEPT) and all(metric in told[name] for name, metric in KEPT.items())
    assert ("DCGM_FI_DEV_POWER_USAGE", 211.5) in kept["dcgm"] and ("tgi_queue_size", 4.0) in kept["tgi"]
    assert {metric for metric, _ in kept["node"]} == {"node_load1"}
    assert set(json.loads(results.telemetry_problems_json.read_text())) == set(EXPOSITIONS)


@pytest.mark.parametrize(("factor", "verdict"), [("1", "PASS"), ("1.6", "FAIL")])
def test_the_audit_catches_a_server_that_lies_about_its_tokens_and_times(tmp_path: Path, factor: str,
                                                                         verdict: str) -> None:
    """Two servers behind one endpoint, both scraped by its name. With requests given up, the counters are not
    checkable: tests/unit/analysis/audit/test_engines_own_counters.py."""
    load = {"concurrency": [4], "ramp": 0, "warmup": "1s", "window": "5s", "drain": "10s"}
    told = ("--ttft", "60ms", "--gap", "10ms", "--metrics-factor", factor)
    with emulator(tmp_path, *told) as one, emulator(tmp_path, *told, name="other") as other:
        telemetry = [{"name": "vllm", "collector": "prometheus", "endpoint": "a", "every": "200ms"}]
        endpoint = {"name": "a", "protocol": "openai", "model": "m", "urls": [f"{one.url}/v1", f"{other.url}/v1"]}
        path = run_file(tmp_path, {}, load, telemetry=telemetry, endpoints=[endpoint])
        with fmload_run(tmp_path, path) as run:
            assert run.wait() == (4 if verdict == "FAIL" else 0), run.output()
    checks = {check["name"]: check for check in json.loads(run.results.audit_json.read_text())["stages"][0]["checks"]}
    assert checks["server's counters = ours"]["result"] == verdict
    assert checks["server's times = ours"]["result"] == verdict
    assert set(checks["server's counters = ours"]["figures"]) >= {"output_tokens_per_s", "requests_per_s"}
    report = pages(run.results)
    assert "What was the limit?" in report
    assert ("What is more here is network and client" in report) == (verdict == "PASS")
