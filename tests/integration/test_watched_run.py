"""A run watched from outside: a real Prometheus server scrapes it, an OTLP receiver is sent to, the dashboard asks."""

from __future__ import annotations

import shutil
import subprocess
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from fmload.exposition import dashboard
from tests.load_rig import emulator, fmload_run, free_port, locust, run_file, wait_until
from tests.prometheus import asked, prometheus

LOAD = {"concurrency": [4], "ramp": "500ms", "warmup": "500ms", "window": "6s", "drain": "10s"}


class Receiver(BaseHTTPRequestHandler):
    """An OTLP receiver: keeps every request, decoded."""

    requests: ClassVar[list[ExportMetricsServiceRequest]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Receiver.requests.append(ExportMetricsServiceRequest.FromString(body))
        self.send_response(200 if self.path == "/v1/metrics" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def receiver() -> Iterator[str]:
    Receiver.requests.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def last_sent() -> dict[str, Any]:
    """The metrics of the last request by name."""
    resource, = Receiver.requests[-1].resource_metrics
    return {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}


def test_a_run_is_scraped_and_sent_while_it_lasts_and_the_dashboards_questions_are_answered(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "1000")
    port = free_port()
    with emulator(tmp_path, "--profile", "steady", "--ttft", "50ms", "--gap", "10ms") as server, receiver() as otlp, \
            prometheus(tmp_path, {"fmload": f"127.0.0.1:{port}"}) as prom:
        path = run_file(tmp_path, {"steady": server.url}, LOAD, objectives={"ttft_p95": "2s"})
        with fmload_run(tmp_path, path, "--prometheus-port", str(port), "--otlp-endpoint", otlp) as run:
            wait_until(lambda: asked(prom, "fmload_requests_total > 40"), 60, "requests that a scrape shows")
            text = scraped(port)
            assert run.wait() == 0, run.output()
        answers = {query: asked(prom, bound(query)) for query in queries()}
        ttft_s = float(asked(prom, "max_over_time(histogram_quantile(0.5, sum by (le) (rate("
                                   "fmload_time_to_first_token_seconds_bucket[2s])))[1m:1s])")[0]["value"][1])
    assert 0.03 < ttft_s < 0.3  # 50 ms by the emulator's clock, in the bucket of Prometheus's arithmetic
    assert {query for query, series in answers.items() if not series} <= {q for q in queries() if "!~" in q}
    if shutil.which("promtool"):
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True,
                                 check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    records = run.records()
    sent = last_sent()
    by_outcome = {point.attributes[2].value.string_value: point.as_double
                  for point in sent["fmload.requests"].sum.data_points}
    assert by_outcome == Counter(record.outcome for record in records)
    tokens, = sent["fmload.output_tokens"].sum.data_points
    assert tokens.as_double == sum(record.output_tokens or 0 for record in records)
    first, = sent["fmload.time_to_first_token"].histogram.data_points
    assert first.count == by_outcome["ok"]


def scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def queries() -> list[str]:
    return [query for _, asked_for in dashboard.PANELS.values() for query in asked_for.values()] + [
        query for query, _ in dashboard.STATS.values()]


def bound(query: str) -> str:
    """With Grafana's variables filled in, over the last minute, since the run has ended."""
    bound_query = query.replace("$__rate_interval", "1m").replace("$endpoint", ".*")
    return f"last_over_time(({bound_query})[1m:1s])"


def test_nobody_at_the_other_end_is_a_warning_and_a_port_in_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    with emulator(tmp_path, "--profile", "steady", "--ttft", "20ms", "--gap", "5ms") as server:
        path = run_file(tmp_path, {"steady": server.url}, {**LOAD, "window": "2s"})
        taken = server.url.rpartition(":")[2]
        with fmload_run(tmp_path, path, "--prometheus-port", taken, out="taken") as run:
            assert run.wait() == 2
            assert f"127.0.0.1:{taken} cannot be had" in run.output()
        with locust(tmp_path, "--headless", "--fmload-config", str(path), "--fmload-prometheus-port", taken,
                    "--fmload-otlp-endpoint", f"http://127.0.0.1:{free_port()}") as run:
            assert run.wait() == 0, run.output()
    assert "no live metrics at" in run.output()
    assert "OTLP: the live metrics could not be sent" in run.output()
    assert {record.outcome for record in run.records()} == {"ok"}
