"""Requests that the client gave up on purpose, in the analysis: in flight and read until then, and no failures."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import request, stage, write

from fmload_analysis.document.document import Chart, Table
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import errors, stages
from fmload_analysis.run import open_run
from fmload_analysis.verdict.analysis import Analysis


def half_given_up(root: Path) -> Analysis:
    """One user without a pause: an answer of 50 ms, then one that is given up after 50 ms, and again."""
    records = [request(f"r{index}", 50 * index, [50 * index + 20, 50 * index + 50], address="http://a:80",
                       outcome="ok" if index % 2 == 0 else "cancelled") for index in range(40)]
    write(root, [stage(window_ms=2000)], records)
    return analyse_run(open_run(root))


def test_they_count_in_littles_law_and_in_the_sum_of_tokens(tmp_path: Path) -> None:
    result, = half_given_up(tmp_path).results
    checks = {check.name: check for check in result.checks}
    law = checks["concurrency = throughput × time in flight"]
    assert (law.result, law.figures["achieved"], law.figures["expected"]) == ("PASS", 1.0, pytest.approx(39 / 40))
    assert checks["tokens by arrival = tokens by request"].result == "PASS"
    assert (result.totals.succeeded, result.totals.failed, result.totals.completed) == (20, 0, 20)


def test_without_failures_they_are_counted_and_not_pictured_as_such(tmp_path: Path) -> None:
    section = errors.render(half_given_up(tmp_path))
    assert section is not None
    assert not [block for block in section.blocks if isinstance(block, Chart)]
    table = next(block for block in section.blocks if isinstance(block, Table))
    given_up = table.rows[0][[column.label for column in table.columns].index("cancelled")]
    assert (given_up.text, given_up.mark) == ("20", None)


def test_bars_of_failures_are_as_high_as_the_error_rate(tmp_path: Path) -> None:
    outcomes = ["ok", "cancelled", "http_5xx", "empty"]
    records = [request(f"r{index}", 50 * index, [50 * index + 20], outcome=outcomes[index % 4]) for index in range(40)]
    write(tmp_path, [stage(window_ms=2000)], records)
    analysis = analyse_run(open_run(tmp_path))
    section = errors.render(analysis)
    assert section is not None
    chart = next(block for block in section.blocks if isinstance(block, Chart))
    assert sum(point.y for series in chart.series for point in series.points) == pytest.approx(
        100 * (analysis.results[0].value("error_rate") or 0))


def test_a_count_that_holds_what_was_given_up_has_a_name_of_its_own(tmp_path: Path) -> None:
    analysis = half_given_up(tmp_path)
    tables = [block for section in (errors.render(analysis), stages.render(analysis)) if section
              for block in section.blocks if isinstance(block, Table)]
    counted = {(column.label, row[place].text) for table in tables for row in table.rows
               for place, column in enumerate(table.columns) if column.label in ("Requests", "Started")}
    assert counted >= {("Requests", "20"), ("Started", "40")}
    assert ("Requests", "40") not in counted
