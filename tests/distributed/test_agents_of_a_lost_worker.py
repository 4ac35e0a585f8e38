"""Agents over three workers of which one is killed: no session is sent twice, its own are told as lost, and those of
the others keep their closed form."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq

from fmload.base.resources import resource
from fmload.model.record import scenario_of
from fmload.model.step import session_of
from fmload.prompts import store
from fmload_analysis.pipeline import analyse
from tests.load_rig import emulator, ids, kill_inside_a_session, run_file, three_workers, wait_until

AGENT = {"name": "job", "source": "agents", "count": 120, "tools": {"search": "150ms", "calc": "60ms"}, "steps": [
    {"ask": "plan", "input_tokens": 12, "output_tokens": 5},
    {"parallel": [{"tool": "search"}, [{"agent": "reader", "steps": [{"ask": "read", "output_tokens": 4}]}]]},
    {"tool": "calc"}, {"ask": "write", "output_tokens": 6}]}
DURATION_S = (0.03 + 4 * 0.004) + 0.15 + 0.06 + (0.03 + 5 * 0.004)


def test_a_killed_workers_sessions_are_lost_and_the_others_are_whole_and_sent_once(tmp_path: Path) -> None:
    file = str(resource("locustfiles", "openai.py"))
    with emulator(tmp_path, "--ttft", "30ms", "--gap", "4ms") as server, ExitStack() as stack:
        path = run_file(tmp_path, {"a": server.url}, {"concurrency": [6], "ramp": 0, "warmup": "1s", "window": "6s"},
                        prompts=[AGENT])
        run, workers = three_workers(stack, tmp_path, file, path)
        wait_until(run.in_window, 60.0, "the window")
        wait_until(lambda: len(server.requests()) > 12, 30.0, "some requests")
        kill_inside_a_session(workers[0])
        run.wait()
        records = run.records()
        assert ids(records) <= {one.request_id for one in server.requests()}
    assert len({record.worker for record in records}) == 3
    prompts = {prompt.id for prompt in store.read(run.results.prompts / "job.jsonl")}
    assert {session_of(record.prompt_id) for record in records} <= prompts
    told = Counter((scenario_of(record.detail) or {})["session"] for record in records)
    rows = {row["session"]: row for row in pq.read_table(run.results.sessions_parquet).to_pylist()}
    by_worker = {worker: {session_of(record.prompt_id) for record in records if record.worker == worker}
                 for worker in {record.worker for record in records}}
    assert sum(map(len, by_worker.values())) == len(set().union(*by_worker.values()))  # no session on two workers
    finished = [row for row in rows.values() if row["outcome"] == "finished"]
    assert finished and all(told[row["session"]] == 3 == row["requests"] for row in finished)
    assert all(row["end_ns"] - row["begin_ns"] >= (DURATION_S - 0.002) * 1e9 for row in finished)
    sessions = analyse(tmp_path / "out").results[0].summary.sessions
    assert sessions is not None and sessions.lost == len(told.keys() - rows.keys()) >= 1
    assert "a worker was lost" in "".join(page.read_text() for page in (tmp_path / "out").glob("*.md"))
