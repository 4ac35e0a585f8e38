"""Safety checks in the analysis: timed apart, blocked requests neither good nor failed, users in a check busy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from handmade import request, stage, write

from fmload.model.record import Record
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import safe_check
from fmload_analysis.run import open_run
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.table import StageResult

SPEC = {"load": {"safe_check": {"before": {"latency": "100ms"}, "after": {"latency": "50ms"}}}}


def noted(before: str | None = "safe", after: str | None = "safe") -> str:
    notes = {"before": {"verdict": before, "s": 0.1}, "after": {"verdict": after, "s": 0.05}}
    return json.dumps({"safe_check": {step: note for step, note in notes.items() if note["verdict"]}})


def one_user(count: int = 40) -> list[Record]:
    """Each request: 100 ms of check, 80 ms at the endpoint, 50 ms of check; every fourth prompt is unsafe."""
    records, now = [], 0.0
    for index in range(count):
        sent = now + 100
        if index % 4 == 3:
            records.append(request(f"r{index}", sent, outcome="cancelled", send_ns=None, end_ms=sent,
                                   detail=noted("unsafe", None), input_tokens=None))
            now = sent
        else:
            after = "failed" if index == 0 else "unsafe" if index == 1 else "safe"
            records.append(request(f"r{index}", sent, [sent + 20, sent + 80], detail=noted(after=after)))
            now = sent + 130
    return records


def analysed(root: Path, records: list[Record], **columns: Any) -> Analysis:
    write(root, [stage(window_ms=7910, **columns)], records, spec=SPEC)
    return analyse_run(open_run(root))


def check(result: StageResult, name: str) -> str:
    return next(one.result for one in result.checks if one.name == name)


def test_checks_are_no_part_of_the_latency_and_have_one_of_their_own(tmp_path: Path) -> None:
    result, = analysed(tmp_path, one_user()).results
    assert result.value("e2e_mean") == pytest.approx(0.08)
    assert result.value("e2e_scheduled_mean") == pytest.approx(0.08)
    assert result.value("e2e_with_checks_mean") == pytest.approx(0.23)


def test_what_was_blocked_is_neither_good_nor_failed(tmp_path: Path) -> None:
    result, = analysed(tmp_path, one_user()).results
    assert (result.totals.succeeded, result.totals.failed, result.summary.outcomes["cancelled"]) == (30, 0, 10)
    assert result.value("error_rate") == 0


def test_times_and_verdicts_are_counted_by_step(tmp_path: Path) -> None:
    result, = analysed(tmp_path, one_user()).results
    assert result.summary.safe_checks is not None
    before, after = (result.summary.safe_checks.steps[step] for step in ("before", "after"))
    assert (before.checked, before.blocked, before.failed, before.time.mean) == (40, 10, 0, pytest.approx(0.1))
    assert (after.checked, after.blocked, after.failed, after.time.mean) == (30, 1, 1, pytest.approx(0.05))


def test_a_user_in_a_check_is_busy_for_the_audit(tmp_path: Path) -> None:
    result, = analysed(tmp_path, one_user()).results
    assert result.value("achieved_concurrency") == pytest.approx(30 * 0.08 / 7.91)
    assert check(result, "achieved = offered") == "PASS"
    assert check(result, "concurrency = throughput × time in flight") == "PASS"


def test_the_report_has_a_section_only_where_there_were_checks(tmp_path: Path) -> None:
    section = safe_check.render(analysed(tmp_path / "a", one_user()))
    assert section is not None
    assert [type(block).__name__ for block in section.blocks] == ["Paragraph", "Callout", "Table", "Table", "Table"]
    plain = [request("r", 0, [10, 20])]
    write(tmp_path / "b", [stage()], plain)
    assert safe_check.render(analyse_run(open_run(tmp_path / "b"))) is None
