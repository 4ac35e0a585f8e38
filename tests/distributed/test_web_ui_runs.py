"""Runs that are started and stopped from Locust's web UI, again and again in one process."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.load_rig import Run, emulator, free_port, ids, locust, wait_until


def post(base: str, path: str, **form: str) -> dict[str, Any]:
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{base}{path}", data, method="POST"), timeout=60) as response:
        answer: dict[str, Any] = json.loads(response.read())
    return answer


def get(base: str, path: str) -> Any:
    with urllib.request.urlopen(f"{base}{path}", timeout=10) as response:
        return json.loads(response.read())


def reachable(base: str) -> bool:
    try:
        get(base, "/stats/requests")
    except OSError:
        return False
    return True


def newest(process: Run) -> Run:
    """The process seen through the newest of its results folders."""
    return process.with_results(max((process.log.parent / "results").glob("locust-*")))


def test_start_stop_and_start_again_leave_a_whole_results_folder_each(tmp_path: Path) -> None:
    web = free_port()
    base = f"http://127.0.0.1:{web}"
    options = ("--processes", "2", "--web-host", "127.0.0.1", "--web-port", str(web), "--fmload-model", "m",
               "--fmload-warmup", "200ms", "--fmload-output-tokens", "5", "--fmload-out", "")
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "10ms") as server, locust(tmp_path, *options) as process:
        wait_until(lambda: reachable(base), 30, "the web UI")
        wait_until(lambda: len(get(base, "/stats/requests")["workers"]) == 2, 30, "both workers")
        form = {"user_count": "3", "spawn_rate": "30", "host": f"{server.url}/v1"}

        assert post(base, "/swarm", **form, run_time="60s")["success"]
        wait_until(lambda: (tmp_path / "results/latest").exists() and newest(process).in_window(), 60, "a window")
        assert post(base, "/stop")["success"]
        wait_until(lambda: get(base, "/stats/requests")["state"] == "stopped", 60, "the stop")
        first = newest(process)
        assert first.stages()[0]["status"] == "interrupted"
        served = {one.request_id for one in server.requests()}
        assert ids(first.records()) == served

        wait_until(lambda: post(base, "/swarm", **form, run_time="2s")["success"], 30, "a second start")
        wait_until(lambda: newest(process).results != first.results
                   and [stage["status"] for stage in newest(process).stages()] == ["done"], 60, "the second run")
        wait_until(lambda: get(base, "/stats/requests")["state"] == "stopped", 60, "its end")
        second = newest(process)
        assert ids(second.records()) == {one.request_id for one in server.requests()} - served
    assert process.wait(30) is not None
