"""Requests that the client gave up on purpose, in the analysis: in flight and read until then, and no failures."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import request, stage, write

from fmload_analysis.document.document import Chart, Table
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import errors
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
