"""A scenario over three workers of which one is killed: the others go on, and its sessions are told as lost."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from fmload.base.resources import resource
from fmload_analysis.pipeline import analyse
from tests.load_rig import emulator, ids, kill_inside_a_session, run_file, three_workers, wait_until


def test_sessions_of_a_killed_worker_are_lost_and_those_of_the_others_are_finished(tmp_path: Path) -> None:
    file = str(resource("locustfiles", "chat_with_memory.py"))
    with emulator(tmp_path, "--ttft", "30ms", "--gap", "4ms") as server, ExitStack() as stack:
        path = run_file(tmp_path, {"a": server.url}, {"concurrency": [6], "ramp": 0, "warmup": "1s", "window": "9s"},
                        prompts=[{"name": "talk", "source": "scenario"}])
        run, workers = three_workers(stack, tmp_path, file, path)
        wait_until(run.in_window, 60.0, "the window")
        wait_until(lambda: len(server.requests()) > 20, 30.0, "some turns")
        kill_inside_a_session(workers[0])
        run.wait()
        records = run.records()
        assert ids(records) <= {one.request_id for one in server.requests()}
    assert any(mark["kind"] == "worker_lost" for mark in run.stages()[0]["marks"])
    assert len({record.worker for record in records}) == 3
    sessions = analyse(tmp_path / "out").results[0].summary.sessions
    assert sessions is not None and sessions.lost >= 1 and sessions.whole.finished >= 1
    assert "a worker was lost" in "".join(page.read_text() for page in (tmp_path / "out").glob("*.md"))
