"""stages.json: one reader and writer, whole or not at all, versioned; and the one way through a stage's states."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from fmload.base import files
from fmload.base.errors import FmloadError
from fmload.model.stage import Find, Load, StageMark, StopIf, MixPart, Stage, Status, Until, WarmUp
from fmload.model.verdict import Judged, Observed, Reached, LoadVerdict
from fmload.plan.stages import remaining
from fmload.results import stage_file
from fmload.results.folder import Results
from fmload.results.stage_file import StageFile
from tests.handmade import stage


def full() -> Stage:
    """A stage with a value in every field."""
    return Stage(
        3, 1, 2, "e", "p", Load("rate", 2.5, {"process": "gamma", "burstiness": 0.5}), {"temperature": 0.1}, 1.0, 2.0,
        30.0, 100, 9.0, WarmUp(steady="e2e"), Find({"ttft_p95": "1s"}, 0.95, 30.0, 4), True,
        MixPart(1, 0.5, (0.5, 0.5), 2, 5.0), Until("e2e_p50", 0.05, 0.95, 10.0), True,
        StopIf(0.2, 50, {"throttled": 3}), True, "running", 1, 2, 3, 4, 5, "steady",
        "clear", LoadVerdict("fails", 0.95, (Judged("ttft_p95", 1.0, "fails", None, 1.2, None, 40, 1.5),), "why"),
        Observed(2.0, 1.0, None, 0.5), Reached("e2e_p50", 1.0, None, 2.0, 0.1, 9), 4, ["w"], [StageMark("lost", 7, "w", "x")], 9)


def test_a_stage_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    StageFile("r", "2026-01-01T00:00:00Z", 12, [full()]).write(results)
    assert stage_file.read(results) == StageFile("r", "2026-01-01T00:00:00Z", 12, [full()])


def test_a_whole_number_of_users_stays_one_and_an_instant_that_never_came_is_null(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    results.stages_json.write_text(json.dumps({"schema": 1, "stages": [stage(concurrency=4, window_end_ns=None)]}))
    told = stage_file.read(results)
    assert repr(told.stages[0].load.value) == "4" and told.stages[0].window_end_ns == 0
    told.write(results)
    entry, = json.loads(results.stages_json.read_text())["stages"]
    assert repr(entry["load"]["value"]) == "4" and entry["window_end_ns"] is None


def test_a_newer_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    results.stages_json.write_text(written := json.dumps({"schema": 99, "stages": [stage()]}))
    with pytest.raises(FmloadError, match="has schema 99; this fmload reads up to"):
        stage_file.read(results)
    assert results.stages_json.read_text() == written


def test_a_write_that_the_disk_refuses_leaves_the_old_file_and_nothing_else(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(tmp_path).create()
    StageFile("r", stages=[full()]).write(results)
    before, names = results.stages_json.read_bytes(), sorted(tmp_path.iterdir())

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        StageFile("r", stages=[]).write(results)
    assert results.stages_json.read_bytes() == before and sorted(tmp_path.iterdir()) == names


def test_what_the_first_schema_called_interrupted_and_was_run_again_is_superseded(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    stages = [stage(0, status="interrupted"), stage(1, status="interrupted"), stage(2, step=0)]
    results.stages_json.write_text(json.dumps({"schema": 1, "stages": stages}))
    assert [one.status for one in stage_file.read(results).stages] == ["superseded", "interrupted", "done"]


@pytest.mark.parametrize(("columns", "told"), [
    ({"status": "dead"}, "status"), ({"load": {"kind": "rate"}}, "load.value"), ({"window_start_ns": "x"}, "window_start"),
    ({"load": None}, "load"), ({"marks": [{"kind": "k"}]}, "marks.0.at_ns"), ({"verdict": {"result": "maybe"}}, "verdict")])
def test_a_damaged_entry_is_named_with_its_place(tmp_path: Path, columns: dict[str, Any], told: str) -> None:
    results = Results(tmp_path).create()
    results.stages_json.write_text(json.dumps({"schema": 1, "stages": [stage(), {**stage(1), **columns}]}))
    with pytest.raises(FmloadError, match=f"entry 1 is no stage: {told}"):
        stage_file.read(results)


def test_two_stages_of_one_number_are_refused(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    results.stages_json.write_text(json.dumps({"schema": 1, "stages": [stage(), stage()]}))
    with pytest.raises(FmloadError, match="two stages have one number"):
        stage_file.read(results)


def test_a_stage_goes_through_its_states_in_one_order_only() -> None:
    ways = set()
    for before, after in itertools.product(get_args(Status), repeat=2):
        one = full()
        one.status = before
        try:
            one.become(after)
        except ValueError:
            continue
        ways.add((before, after))
    assert ways == {("pending", "running"), ("pending", "skipped"), ("running", "done"), ("running", "interrupted"),
                    ("running", "superseded"), ("interrupted", "superseded")}


def test_breaking_off_closes_a_window_that_is_open_and_no_other() -> None:
    opened, closed = full(), full()
    opened.window_end_ns = 0
    for one in (opened, closed):
        one.break_off(99)
    assert (opened.window_end_ns, closed.window_end_ns, opened.status) == (99, 4, "interrupted")


def test_what_was_begun_is_superseded_when_the_run_is_resumed(tmp_path: Path) -> None:
    begun = full()
    left = remaining(stages := [begun])
    assert begun.status == "superseded" and [one.stage for one in left] == [1] and len(stages) == 2
