"""Runs that are started and stopped from Locust's web UI, again and again in one process."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.load_rig import Run, Server, emulator, free_port, ids, locust, run_file, wait_until


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


@contextmanager
def stopped_by_hand(folder: Path, users: int) -> Iterator[tuple[str, dict[str, str], Server, Run, Run]]:
    """Locust with its page and two workers, whose first run was stopped in its window: the page's address, the form of
    a start, the emulator, the process, and the first run."""
    web = free_port()
    base = f"http://127.0.0.1:{web}"
    options = ("--processes", "2", "--web-host", "127.0.0.1", "--web-port", str(web), "--fmload-model", "m",
               "--fmload-warmup", "200ms", "--fmload-output-tokens", "5", "--fmload-out", "")
    with emulator(folder, "--ttft", "20ms", "--gap", "10ms") as server, locust(folder, *options) as process:
        wait_until(lambda: reachable(base), 30, "the web UI")
        wait_until(lambda: len(get(base, "/stats/requests")["workers"]) == 2, 30, "both workers")
        form = {"user_count": str(users), "spawn_rate": "30", "host": f"{server.url}/v1"}
        assert post(base, "/swarm", **form, run_time="60s")["success"]
        wait_until(lambda: (folder / "results/latest").exists() and newest(process).in_window(), 60, "a window")
        assert post(base, "/stop")["success"]
        wait_until(lambda: get(base, "/stats/requests")["state"] == "stopped", 60, "the stop")
        yield base, form, server, process, newest(process)


def await_second(process: Run, first: Run) -> None:
    """Until the run after the first one is done."""
    wait_until(lambda: newest(process).results != first.results
               and [stage["status"] for stage in newest(process).stages()] == ["done"], 60, "the second run")


def test_start_stop_and_start_again_leave_a_whole_results_folder_each(tmp_path: Path) -> None:
    with stopped_by_hand(tmp_path, users=3) as (base, form, server, process, first):
        stage = first.stages()[0]
        assert (stage["status"], stage["window_closed"]) == ("done", "ended by hand")
        served = {one.request_id for one in server.requests()}
        assert ids(first.records()) == served

        wait_until(lambda: post(base, "/swarm", **form, run_time="2s")["success"], 30, "a second start")
        await_second(process, first)
        wait_until(lambda: get(base, "/stats/requests")["state"] == "stopped", 60, "its end")
        second = newest(process)
        assert ids(second.records()) == {one.request_id for one in server.requests()} - served
    assert process.wait(30) is not None


def test_a_start_right_after_a_stop_waits_for_the_workers_to_come_back(tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUST_WORKER_ADDITIONAL_WAIT_BEFORE_READY_AFTER_STOP", "12")  # seconds
    with stopped_by_hand(tmp_path, users=2) as (base, form, _, process, first):
        assert post(base, "/swarm", **form, run_time="2s")["success"]
        await_second(process, first)
    assert "Traceback" not in process.output()


def test_a_start_that_failed_leaves_the_folder_to_the_next(tmp_path: Path) -> None:
    web = free_port()
    base = f"http://127.0.0.1:{web}"
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "10ms") as server:
        load = {"concurrency": [1], "ramp": 0, "warmup": 0, "window": "1s", "drain": "5s"}
        late = tmp_path / "late.jsonl"
        path = run_file(tmp_path, {"a": server.url}, load, prompts=[
            {"name": "p", "source": "jsonl", "files": [str(late)], "output_tokens": 5}])
        with locust(tmp_path, "--processes", "2", "--web-host", "127.0.0.1", "--web-port", str(web),
                    "--fmload-config", str(path)) as process:
            wait_until(lambda: reachable(base), 30, "the web UI")
            wait_until(lambda: len(get(base, "/stats/requests")["workers"]) == 2, 30, "both workers")
            form = {"user_count": "1", "spawn_rate": "10", "host": f"{server.url}/v1"}
            post(base, "/swarm", **form)
            wait_until(lambda: "late.jsonl: no such file" in process.output(), 30, "the refusal")
            late.write_text('{"prompt": "What is new?"}\n')
            wait_until(lambda: get(base, "/stats/requests")["state"] in ("ready", "stopped"), 30, "the stop")
            wait_until(lambda: post(base, "/swarm", **form)["success"], 30, "a second start")
            wait_until(lambda: [stage["status"] for stage in process.stages()] == ["done"], 60, "the run")
