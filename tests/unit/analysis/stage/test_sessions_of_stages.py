"""Sessions, tasks and turns of a stage: which ones count, where the time went, what they cost, and their objectives."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from handmade import BASE_NS, MS, request, stage, write

from fmload.base.errors import FmloadError
from fmload.config.objectives import broken, searchable
from fmload.model.record import Record
from fmload.model.session import Session
from fmload.results import sessions as session_files
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import sessions as section
from fmload_analysis.run import open_run
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.table import summary_row

OFFSET_NS = 5_000_000  # of the worker's clock
SPEC: dict[str, Any] = {"prompts": [{"name": "p", "source": "scenario"}]}
WORKER = {"worker": "w0", "clock_offset_ns": OFFSET_NS}


def session(name: str, begin_ms: float, end_ms: float, outcome: Any = "finished", kind: str = "chat",
            **parts_ms: float) -> Session:
    def at(ms: float) -> int:
        return BASE_NS + OFFSET_NS + round(ms * MS)
    parts = {f"{part}_ns": round(parts_ms.get(part, 0) * MS) for part in ("in_requests", "in_tools", "thinking")}
    return Session(name, kind, "Person", "w0", 0, "a", "p", at(begin_ms), at(end_ms), outcome, 2, 0, **parts)


def turn(name: str, number: int, send_ms: float, **columns: Any) -> Record:
    note = {"name": "ask", "user": "Person", "session": name, "of": "chat", "turn": number, "step": number}
    return request(f"{name}-{number}", send_ms, [send_ms + 10 * (number + 1), send_ms + 50], offset_ns=OFFSET_NS,
                   detail=json.dumps({"scenario": note}), input_tokens=100 * (number + 1), **columns)


def analysed(root: Path, records: list[Record], sessions: list[Session], window_ms: int = 10_000,
             **spec: Any) -> Analysis:
    results = write(root, [stage(window_ms=window_ms)], records, spec={**SPEC, **spec}, workers=[WORKER])
    rows = [asdict(one) for one in sessions]
    pq.write_table(pa.Table.from_pylist(rows, schema=session_files.SCHEMA), results.sessions_parquet)
    return analyse_run(open_run(root))


ONE = [turn("s1", 0, 100), turn("s1", 1, 300)]


def test_sessions_count_where_they_end_and_cut_ones_are_neither(tmp_path: Path) -> None:
    result, = analysed(tmp_path, ONE, [
        session("before", -900, -100), session("s1", 100, 350), session("over the edge", -500, 1500),
        session("lost a request", 200, 900, "failed"), session("after", 9000, 10_500),
        session("cut", 9500, 9990, "cut"), session("cut later", 9900, 10_010, "cut")]).results
    assert result.summary.sessions is not None
    whole = result.summary.sessions.whole
    assert (whole.finished, whole.failed, whole.cut) == (2, 1, 2)
    np.testing.assert_allclose(whole.durations_s, [0.25, 2.0])
    assert result.value("session_finished_share") == pytest.approx(2 / 3)
    assert result.value("sessions_per_minute") == pytest.approx(12.0)
    assert result.value("session_duration_mean") == pytest.approx(1.125)
    row = summary_row(result)
    assert (row["sessions_finished"], row["sessions_failed"], row["sessions_cut"]) == (2, 1, 2)
    assert row["session_duration_p50_s"] == pytest.approx(0.25)


def test_where_the_time_went_is_a_mean_over_finished_sessions_and_the_rest_is_told(tmp_path: Path) -> None:
    analysis = analysed(tmp_path, ONE, [session("s1", 100, 1100, in_requests=500, in_tools=200, thinking=100),
                                        session("bad", 100, 1100, "failed", in_requests=1000)])
    rendered = section.render(analysis)
    assert rendered is not None
    table = next(block for block in rendered.blocks if getattr(block, "caption", "").startswith("**Sessions"))
    told = {column.label: cell.text for column, cell in zip(table.columns, table.rows[0], strict=True)}  # type: ignore[attr-defined]
    assert [told[part] for part in ("In requests", "In tools", "Thinking", "Else")] == ["50 %", "20 %", "10 %", "20 %"]


def test_an_hourly_price_is_over_the_finished_sessions_alone(tmp_path: Path) -> None:
    endpoints = [{"name": "a", "price": {"hourly": 3.6}}]
    result, = analysed(tmp_path, ONE, [session("s1", 0, 10), session("s2", 0, 20), session("s3", 0, 20, "failed")],
                       endpoints=endpoints).results
    assert result.value("price_per_finished_session") == pytest.approx(3.6 / 3600 * 10 / 2)


def test_token_prices_hold_the_waste_of_requests_that_failed(tmp_path: Path) -> None:
    endpoints = [{"name": "a", "price": {"input_per_1m": 1e4, "output_per_1m": 0}}]
    records = [turn("s1", 0, 100), turn("s2", 0, 200), turn("s2", 1, 300, outcome="truncated")]
    result, = analysed(tmp_path, records, [session("s1", 100, 150), session("s2", 200, 350, "failed")],
                       endpoints=endpoints).results
    assert result.value("price_per_finished_session") == pytest.approx((100 + 100 + 200) * 0.01)


def test_requests_are_told_by_task_and_by_turn(tmp_path: Path) -> None:
    plain = request("x", 500, [520, 600], offset_ns=OFFSET_NS,
                    detail='{"scenario":{"name":"single","user":"Lawyer"}}')
    failed = turn("s3", 1, 700, outcome="http_5xx")
    late = turn("s4", 0, 10_100)  # after the window
    result, = analysed(tmp_path, [*ONE, plain, failed, late], [session("s1", 100, 350)]).results
    tasks = {(one.name, one.user): one for one in result.summary.tasks}
    assert {key: (one.requests, one.failed) for key, one in tasks.items()} == {
        ("ask", "Person"): (3, 1), ("single", "Lawyer"): (1, 0)}
    assert tasks["single", "Lawyer"].ttft.stat("p50") == pytest.approx(0.02)
    turns = [(one.turn, one.requests, one.failed, one.ttft.stat("p50"), one.input_tokens)
             for one in result.summary.turns]
    assert turns == [(0, 1, 0, pytest.approx(0.01), 100.0), (1, 2, 1, pytest.approx(0.02), 200.0)]


def test_a_session_whose_end_nobody_told_is_lost(tmp_path: Path) -> None:
    analysis = analysed(tmp_path, [*ONE, turn("gone", 0, 400)], [session("s1", 100, 350)])
    assert analysis.results[0].summary.sessions is not None
    assert analysis.results[0].summary.sessions.lost == 1
    rendered = section.render(analysis)
    assert rendered is not None and any("a worker was lost" in getattr(block, "text", "") for block in rendered.blocks)


@pytest.mark.parametrize(("durations_ms", "failed", "limit", "state"), [
    ([100] * 80, 0, "200ms", "met"), ([100] * 80, 0, "50ms", "missed"), ([100] * 10, 0, "200ms", "unknown"),
    ([100] * 80, 20, "200ms", "missed")])
def test_an_objective_on_sessions_is_judged_by_its_bounds_and_a_failed_session_never_keeps_it(
        tmp_path: Path, durations_ms: list[int], failed: int, limit: str, state: str) -> None:
    sessions = [session(f"s{index}", 10 * index, 10 * index + length, "failed" if index < failed else "finished")
                for index, length in enumerate(durations_ms)]
    result, = analysed(tmp_path, ONE, sessions, objectives={"session_duration_p95": limit}).results
    verdict, = result.verdicts
    assert (verdict.objective.level, verdict.state) == ("session", state)


def test_names_of_session_objectives_want_a_statistic_and_a_search_goes_by_durations_alone() -> None:
    assert "say which statistic" in next(broken({"session_duration": "2s"}))[1]
    assert not list(broken({"session_duration_p95": "2s", "session_finished_share": "99%", "sessions_per_minute": 3}))
    found = searchable({"session_duration_p95": "2s", "session_finished_share": "99%", "sessions_per_minute": 3})
    assert [one.name for one in found] == ["session_duration_p95"]


def test_without_sessions_and_names_there_is_no_section_and_no_figure(tmp_path: Path) -> None:
    write(tmp_path, [stage()], [request("r", 1, [2, 3])])
    analysis = analyse_run(open_run(tmp_path))
    assert section.render(analysis) is None
    assert analysis.results[0].value("sessions_per_minute") is None


def test_a_damaged_file_of_sessions_is_told_with_the_remedy(tmp_path: Path) -> None:
    results = write(tmp_path, [stage()], ONE, spec=SPEC)
    results.sessions_parquet.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(FmloadError, match="makes it anew"):
        analyse_run(open_run(tmp_path))
