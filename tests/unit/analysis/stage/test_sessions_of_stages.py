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
from fmload_analysis.document.document import Chart
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
    parts = {f"{part}_ns": round(length * MS) for part, length in parts_ms.items()}
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
    analysis = analysed(tmp_path, ONE, [
        session("s1", 100, 1100, path_waiting=300, path_decoding=200, path_tools=200, path_thinking=100,
                path_prefill=250),
        session("bad", 100, 1100, "failed", path_waiting=1000)])
    rendered = section.render(analysis)
    assert rendered is not None
    table = next(block for block in rendered.blocks if getattr(block, "caption", "").startswith("**Sessions"))
    told = {column.label: cell.text for column, cell in zip(table.columns, table.rows[0], strict=True)}  # type: ignore[attr-defined]
    shares = [told[part] for part in ("Waiting", "Prefill", "Decoding", "In tools", "Thinking", "Client")]
    assert shares == ["30 %", "25 %", "20 %", "20 %", "10 %", "20 %"]


def test_sessions_and_their_requests_are_told_by_the_length_of_their_context(tmp_path: Path) -> None:
    sessions = [session("short", 100, 200), session("long", 100, 900), session("longer", 100, 1300)]
    for one, tokens in zip(sessions, (1023, 2048, 4095), strict=True):
        one.context_tokens = tokens
    records = [turn("short", 0, 100), turn("long", 0, 100)]
    records[0].input_tokens, records[1].input_tokens = 1024, 5000
    analysis = analysed(tmp_path, records, sessions)
    summary = analysis.results[0].summary
    assert summary.sessions is not None
    assert [(one.name, one.finished, one.mean_s) for one in summary.sessions.by_context] == [
        ("below 1k", 1, pytest.approx(0.1)), ("2k to 4k", 2, pytest.approx(1.0))]
    assert [(one.name, one.requests) for one in summary.contexts] == [("1k to 2k", 1), ("4k to 8k", 1)]
    rendered = section.render(analysis)
    assert rendered is not None
    captions = [getattr(block, "caption", "") for block in rendered.blocks]
    assert sum("longest prompt" in caption or "length of their context" in caption for caption in captions) == 2


def test_charts_show_where_the_time_goes_by_load_and_by_turn(tmp_path: Path) -> None:
    records = [turn("s1", 0, 100), turn("s1", 1, 300)]
    note = json.loads(records[1].detail or "")
    note["scenario"] |= {"tools_s": 0.08, "thinking_s": 0.02}
    records[1].detail = json.dumps(note)
    analysis = analysed(tmp_path, records, [
        session("s1", 100, 400, path_waiting=60, path_decoding=40, path_tools=80, path_thinking=20)])
    rendered = section.render(analysis)
    assert rendered is not None
    charts = {block.name: block for block in rendered.blocks if isinstance(block, Chart)}
    by_load = {series.name: [point.y for point in series.points] for series in charts["session_parts_by_load"].series}
    assert by_load == {"waiting for first tokens": [0.06], "decoding": [0.04], "tools": [0.08], "thinking": [0.02],
                       "the client's own time": [pytest.approx(0.1)]}
    by_turn = {series.name: [point.y for point in series.points] for series in charts["session_parts_by_turn"].series}
    assert by_turn == {"waiting for the first token": [pytest.approx(0.01), pytest.approx(0.02)],
                       "decoding": [pytest.approx(0.04), pytest.approx(0.03)],
                       "tools before it": [0, 0.08], "thinking before it": [0, 0.02]}


def test_a_run_of_a_version_that_told_no_critical_path_has_no_parts_and_its_durations(tmp_path: Path) -> None:
    analysis = analysed(tmp_path, ONE, [session("s1", 100, 400)])
    path = analysis.run.results.sessions_parquet
    table = pq.read_table(path)
    pq.write_table(table.select([name for name in table.column_names if not name.startswith("path_")
                                 and name != "context_tokens"]), path)
    again = analyse_run(open_run(tmp_path))
    summary = again.results[0].summary.sessions
    assert summary is not None and summary.whole.parts_s == {} and summary.whole.mean_s == pytest.approx(0.3)
    rendered = section.render(again)
    assert rendered is not None and not any(isinstance(block, Chart) for block in rendered.blocks[:3])


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


def test_what_failed_before_the_window_is_not_paid_by_the_sessions_that_finished_in_it(tmp_path: Path) -> None:
    endpoints = [{"name": "a", "price": {"input_per_1m": 1e4, "output_per_1m": 0}}]
    warm = turn("s0", 0, -5000, outcome="truncated")
    result, = analysed(tmp_path, [warm, turn("s1", 0, 100)], [session("s1", 100, 150)], endpoints=endpoints).results
    assert result.value("price_per_finished_session") == pytest.approx(100 * 0.01)
    assert result.summary.spend.failed == pytest.approx(100 * 0.01)  # of the stage as a whole


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


def test_a_session_is_of_its_users_stage_and_not_lost_in_another_one_that_it_sent_a_request_to(tmp_path: Path) -> None:
    beside = request("s1-e", 120, [], end_ms=140, stage=1, offset_ns=OFFSET_NS,
                     detail=json.dumps({"scenario": {"name": "embed", "session": "s1", "of": "chat", "turn": 0,
                                                     "step": 0}}))
    results = write(tmp_path, [stage(window_ms=10_000), stage(1, window_ms=10_000, step=0, beside=True)],
                    [*ONE, beside], spec=SPEC, workers=[WORKER])
    rows = [asdict(session("s1", 100, 350))]
    pq.write_table(pa.Table.from_pylist(rows, schema=session_files.SCHEMA), results.sessions_parquet)
    own, other = analyse_run(open_run(tmp_path)).results
    assert own.summary.sessions is not None
    assert (own.summary.sessions.whole.finished, own.summary.sessions.lost) == (1, 0)
    assert other.summary.sessions is None
