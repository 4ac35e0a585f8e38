"""The asked arrivals of an open loop, made anew from the results folder."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from handmade import BASE_NS, MS, request, stage, write

from fmload.arrivals import schedule
from fmload.model.prompt import Prompt
from fmload.plan.arrivals import seed_of
from fmload.prompts import store
from fmload.results.folder import Results
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import arrivals
from fmload_analysis.run import open_run
from fmload_analysis.stage.summarize import StageSummary
from fmload_analysis.verdict.table import StageResult

LEAD = {"ramp_s": 1.0, "warmup_s": 1.0, "ramp_start_ns": BASE_NS - 2000 * MS}
RAMP = {"process": "ramp", "from": 0.0, "over": "10s", "base": "constant"}


def result(root: Path, load: dict[str, Any], sent_ms: list[float], window_ms: int = 10_000) -> StageResult:
    records = [request(f"r{index}", ms, [ms + 20, ms + 40]) for index, ms in enumerate(sent_ms)]
    write(root, [stage(window_ms=window_ms, load=load, **LEAD)], records, spec={"seed": 7})
    return analyse_run(open_run(root)).results[0]


def summary(root: Path, load: dict[str, Any], sent_ms: list[float] | None = None) -> StageSummary:
    return result(root, load, sent_ms or [100.0]).summary


def test_the_schedule_is_the_one_that_the_workers_had(tmp_path: Path) -> None:
    found = summary(tmp_path, {"kind": "rate", "value": 20, "arrivals": {"process": "poisson"}})
    whole = schedule({"process": "poisson"}, 20, seed_of(7, 0), lead_s=2.0)
    expected = [instant - 2.0 for instant in itertools.takewhile(lambda instant: instant < 12.0, whole)]
    assert found.asked_s is not None
    assert found.asked_s.tolist() == expected
    assert found.asked == sum(0 <= instant < 10 for instant in expected)


def test_the_offered_rate_of_a_ramp_is_that_of_its_window(tmp_path: Path) -> None:
    found = summary(tmp_path, {"kind": "rate", "value": 40, "arrivals": RAMP})
    assert found.offered_per_s == pytest.approx(20.0)  # from none to 40 a second over the whole window


def test_a_ramp_that_was_sent_as_asked_passes_and_half_of_it_fails(tmp_path: Path) -> None:
    load = {"kind": "rate", "value": 40, "arrivals": RAMP}
    asked = summary(tmp_path / "asked", load).asked_s
    assert asked is not None
    for step, expected in ((1, "PASS"), (2, "FAIL")):
        checks = result(tmp_path / expected, load, [1000 * instant for instant in asked.tolist()[::step]]).checks
        assert {check.name: check.result for check in checks}["achieved = offered"] == expected


def test_requests_that_were_due_and_have_no_record_were_never_sent(tmp_path: Path) -> None:
    load = {"kind": "rate", "value": 40, "arrivals": {"process": "constant"}}
    due_ms = [25.0 * number for number in range(400)]
    for missing, expected in ((0, "PASS"), (1, "PASS"), (20, "WARN"), (100, "FAIL")):
        found = result(tmp_path / str(missing), load, due_ms[:400 - missing])
        assert (found.summary.asked, found.summary.never_sent) == (400, missing)
        assert {check.name: check.result for check in found.checks}["all due requests sent"] == expected


def test_late_requests_are_counted_and_are_not_never_sent(tmp_path: Path) -> None:
    records = [request(f"r{number}", 100 * number + late, [100 * number + late + 20], late_ms=late)
               for number in range(100) for late in ((0.0, 50.0)[number % 4 == 0],)]
    load = {"kind": "rate", "value": 10, "arrivals": {"process": "constant"}}
    write(tmp_path, [stage(window_ms=10_000, load=load, **LEAD)], records)
    found = analyse_run(open_run(tmp_path)).results[0].summary
    assert (found.asked, found.evidence.late, found.never_sent) == (100, 25, 0)


def test_a_traces_instants_are_those_of_the_endpoints_own_prompts(tmp_path: Path) -> None:
    prompts = [Prompt(f"{name}-{number}", "p", text="x", tokenizer=name, offset_s=2.0 * number)
               for name in ("bundled", "other") for number in range(20)]
    store.write(Results(tmp_path).prompts / "p.jsonl", prompts)
    found = summary(tmp_path, {"kind": "trace", "value": 4.0})
    assert found.asked_s is not None
    assert found.asked_s.tolist() == [number / 2 - 2.0 for number in range(20)]
    assert found.offered_per_s == 1.6


def test_without_the_prompts_a_trace_has_no_offered_rate(tmp_path: Path) -> None:
    assert summary(tmp_path, {"kind": "trace", "value": 4.0}).offered_per_s is None


def test_a_closed_loop_has_no_schedule(tmp_path: Path) -> None:
    assert summary(tmp_path, {"kind": "concurrency", "value": 4}).asked_s is None


def test_the_section_counts_what_was_asked_and_sent(tmp_path: Path) -> None:
    records = [request(f"r{ms}", ms, [ms + 20]) for ms in range(0, 20_000, 250)]
    write(tmp_path, [stage(window_ms=20_000, load={"kind": "rate", "value": 4}, **LEAD)], records)
    section = arrivals.render(analyse_run(open_run(tmp_path)))
    assert section is not None
    _, chart, table = section.blocks
    labels = [f"{column.label} {column.unit}".strip() for column in table.columns]
    cells = dict(zip(labels, table.rows[0], strict=True))
    assert [cells[name].text for name in ("Asked requests", "Sent requests", "Asked 1/s", "Sent 1/s")] == [
        "80", "80", "4.00", "4.00"]
    assert (cells["Dispersion asked"].value, cells["Dispersion sent"].value) == (0.0, 0.0)
    asked, sent = chart.series
    assert [point.x for point in asked.points] == [second + 0.5 for second in range(-2, 20)]
    assert {point.y for point in asked.points} == {4.0}
    assert [point.y for point in sent.points] == [0.0, 0.0, *[4.0] * 20]
