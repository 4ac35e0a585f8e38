"""A server says the key back in every place; nothing that Locust and fmload show of the run holds it, nor a part."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from fmload.base.resources import resource
from tests.distributed.test_who_takes_part import KEY, Echo, echoing
from tests.emulators import START_LIMIT_S
from tests.load_rig import free_port, wait_until

PAGES = ("/", "/stats/requests", "/stats/requests/csv", "/stats/failures/csv", "/stats/requests_full_history/csv",
         "/exceptions", "/exceptions/csv", "/tasks", "/logs", "/stats/report", "/stats/report?download=1",
         "/fmload/tokens.json", "/fmload/settings.json", "/fmload/tokens.csv")


def seen(port: int, metrics: int) -> dict[str, str]:
    """Every page of the web UI, and the metrics."""
    urls = [f"http://127.0.0.1:{port}{path}" for path in PAGES] + [f"http://127.0.0.1:{metrics}/metrics"]
    return {url: requests.get(url, timeout=20).text for url in urls}


def test_no_page_no_download_and_no_metric_holds_a_key_that_the_server_echoes(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("X_TEAM", "unused")
    port, metrics = free_port(), free_port()
    Echo.count = 1
    with echoing() as server, (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(resource("locustfiles", "openai.py")), "--autostart",
             "--web-host", "127.0.0.1", "--web-port", str(port), "-u", "3", "-r", "3", "-t", "15s", "--autoquit", "0",
             "--host", f"http://127.0.0.1:{server}/v1", "--fmload-model", "m", "--fmload-out", str(tmp_path / "out"),
             "--fmload-prometheus-port", str(metrics), "--csv", str(tmp_path / "csv"), "--csv-full-history",
             "--html", str(tmp_path / "locust.html")], stdout=log, stderr=log, cwd=tmp_path)
        try:
            wait_until(lambda: process.poll() is not None or Echo.count > 30, START_LIMIT_S, "requests")
            time.sleep(2)  # a report of the worker's counts
            shown = seen(port, metrics)
            process.wait(START_LIMIT_S)
        finally:
            process.kill()
            process.wait()
    assert "HTTP 400" in shown[f"http://127.0.0.1:{port}/stats/failures/csv"], "nothing failed: this test shows nothing"
    written = {str(path): path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*") if path.is_file()}
    assert any(path.endswith("locust.html") for path in written) and any("csv_failures" in path for path in written)
    for where, text in {**shown, **written}.items():
        assert not [part for part in (KEY, KEY[:10], KEY[-10:], KEY[5:15]) if part in text], where
