"""A worker that is killed in the middle of a replay: the other takes over the rows that are still to come."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.base.resources import resource
from fmload.master.step_runner import HANDOVER_S
from fmload.prompts import store
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from tests.load_rig import cluster, emulator, run_file, wait_until

SPEED = 5.0
LOAD = {"trace": {"speed": SPEED, "duration": "40s"}, "warmup": 0, "drain": "10s", "respread": True}
TRACE = {"name": "azure", "source": "azure_trace", "files": [str(resource("configs", "traces/azure.csv"))]}


def test_rows_of_a_killed_worker_that_are_to_come_are_sent_by_the_other_and_the_rest_counted(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "5ms", "--gap", "1ms") as server:
        with cluster(tmp_path, run_file(tmp_path, {"a": server.url}, LOAD, prompts=[TRACE])) as all:
            wait_until(all.master.in_window, 60, "the window")
            all.workers[0].process.kill()
            assert all.master.wait() == 0, all.master.output()
        run = all.master
    lost, = (entry for entry in run.workers() if entry["lost_ns"])
    living, = (entry for entry in run.workers() if not entry["lost_ns"])
    stage, = run.stages()
    due_ns = {prompt.id: stage["ramp_start_ns"] + round((prompt.offset_s or 0.0) / SPEED * 1e9)
              for prompt in store.read(run.results.prompts / "azure.jsonl")}
    sent = {record.prompt_id: record for record in run.records()}
    assert len(sent) == len(run.records()), "a row was sent twice"
    own = list(due_ns)[living["index"]::2]  # rows are dealt in turn
    assert {sent[row].worker for row in own} == {living["worker"]}
    handed_over_ns = lost["lost_ns"] + int(HANDOVER_S * 1e9)
    for row in set(due_ns) - set(own):
        if row in sent and sent[row].worker == living["worker"]:
            assert due_ns[row] >= handed_over_ns
            assert sent[row].scheduled_ns - living["clock_offset_ns"] == pytest.approx(due_ns[row], abs=5e6)
        elif row not in sent:
            assert due_ns[row] < handed_over_ns + 1e9
    taken_over = [row for row, record in sent.items() if row not in own and record.worker == living["worker"]]
    assert len(taken_over) >= 5
    result, = analyse_run(open_run(run.results.root)).results
    in_the_window = {row for row, due in due_ns.items() if due >= stage["window_start_ns"]}
    assert result.summary.never_sent == len(in_the_window - set(sent)) > 0
