"""SAFE_CHECK in a run: a real check service before each request, a simulated one after, on real Locust workers."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from tests.load_rig import emulator, run_file, sweep

BEFORE_S, AFTER_S = 0.05, 0.1
LOAD = {"concurrency": [4], "ramp": "200ms", "warmup": "400ms", "window": "4s", "drain": "10s"}


class CheckService(BaseHTTPRequestHandler):
    """Takes its time; finds prompts unsafe whose number ends in 0, and fails on those that end in 5."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
        number = int(text.removeprefix("Count to ").removesuffix("."))
        time.sleep(BEFORE_S)
        body = json.dumps({"safe": number % 10 != 0}).encode()
        self.send_response(503 if number % 10 == 5 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        return


@contextmanager
def check_service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), CheckService)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/check"
    finally:
        server.shutdown()
        server.server_close()


def number_of(prompt_id: str) -> int:
    return int(prompt_id.removeprefix("short-"))


def test_unsafe_prompts_are_not_sent_and_checks_are_timed_apart(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "30ms", "--gap", "5ms") as server, check_service() as url:
        checks = {"before": {"url": url}, "after": {"latency": f"{AFTER_S * 1000:g}ms"}}
        with sweep(tmp_path, run_file(tmp_path, {"a": server.url}, {**LOAD, "safe_check": checks})) as run:
            assert run.wait() == 0, run.output()
        served = {one.request_id for one in server.requests()}
    records = run.records()
    blocked = [record for record in records if record.outcome == "cancelled"]
    sent = [record for record in records if record.outcome == "ok"]
    assert len(blocked) + len(sent) == len(records)
    assert {record.request_id for record in sent} == served
    assert all(number_of(record.prompt_id) % 10 == 0 and record.send_ns is None for record in blocked)
    assert blocked and not any(number_of(record.prompt_id) % 10 == 0 for record in sent)
    lateness_s = [((record.send_ns or 0) - record.scheduled_ns) / 1e9 for record in sent]
    assert statistics.median(lateness_s) < BEFORE_S / 2  # due when the check was done, not before
    result, = analyse_run(open_run(run.results.root)).results
    found = result.summary.safe_checks
    assert found is not None
    before, after = found.steps["before"], found.steps["after"]
    assert (before.failed, before.blocked) == tuple(
        sum(json.loads(record.detail or "{}")["safe_check"]["before"]["verdict"] == verdict for record in records
            if result.summary.stage.window_start_ns <= (record.send_ns or record.scheduled_ns)
            < result.summary.stage.window_end_ns) for verdict in ("failed", "unsafe"))
    assert before.failed and after.failed == 0
    assert BEFORE_S < before.time.percentiles[50.0] < 2 * BEFORE_S  # type: ignore[operator]
    e2e_s, checked_s = result.value("e2e_p50") or 0, result.value("e2e_with_checks_p50") or 0
    assert e2e_s + BEFORE_S + AFTER_S < checked_s < e2e_s + 2 * (BEFORE_S + AFTER_S)
    # Four users are busy throughout; fewer than two of their requests are at the endpoint.
    achieved = result.value("achieved_concurrency") or 0
    assert achieved < 2
    assert 3.3 < achieved + found.under_check <= 4.05
    assert next(check.result for check in result.checks if check.group == 1) == "PASS"
