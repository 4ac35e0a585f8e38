"""What is read of a trial's folder: its figure with an interval, or why there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fmload.model.stack import Found
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.verdict.stack_limits import NEXT
from fmload_analysis.verdict.stacks import found
from fmload_analysis.verdict.table import Check
from tests.simulated import INF2, sweep

PRICE = "price_per_1m_output_tokens"


def read(root: Path, levels: tuple[int, ...], objectives: dict[str, str], by: str = PRICE) -> tuple[Any, Found]:
    sweep(root, levels, servers=(INF2,), sizes={"short": (60, 12)}, window_s=60, objectives=objectives)
    analysis = analyse_run(open_run(root))
    return analysis, found(analysis, by)


def test_the_figure_is_taken_at_the_highest_load_that_meets_and_reaches_to_the_one_that_misses(tmp_path: Path) -> None:
    analysis, one = read(tmp_path, (1, 4, 64), {"ttft_p95": "2s"})
    states = [result.objectives for result in analysis.results]
    assert states == ["met", "met", "missed"]
    meets, misses = analysis.results[1], analysis.results[2]
    assert one.status == "measured" and one.figure.value == meets.value(PRICE) and one.facts["highest"] == 4
    rate, above = meets.value("output_tokens_per_s"), misses.summary.intervals["output_tokens_per_s"].high
    assert one.figure.low == pytest.approx(meets.value(PRICE) * rate / max(
        above, meets.summary.intervals["output_tokens_per_s"].high))
    assert one.figure.low < one.figure.value < one.figure.high


def test_where_no_load_misses_the_better_end_is_open(tmp_path: Path) -> None:
    _, one = read(tmp_path, (1, 4), {"ttft_p95": "2s"})
    assert one.figure.low is None and one.figure.high is not None


def test_of_a_rate_the_upper_end_is_open(tmp_path: Path) -> None:
    _, one = read(tmp_path, (1, 4), {"ttft_p95": "2s"}, by="requests_per_s")
    assert one.figure.high is None and one.figure.low is not None


def test_without_objectives_the_interval_is_that_of_the_window(tmp_path: Path) -> None:
    _, one = read(tmp_path, (1, 4, 64), {})
    assert one.figure.low is not None and one.figure.high is not None


def test_a_candidate_whose_lowest_load_misses_is_a_row_with_its_reason(tmp_path: Path) -> None:
    _, one = read(tmp_path, (4, 64), {"ttft_p95": "1ms"})
    assert one.status == "missed" and one.figure.value is None and "4 users: ttft_p95 missed" in one.reason


@pytest.mark.parametrize(("client_bound", "status"), [(True, "measured"), (False, "failed")])
def test_a_failed_audit_is_the_candidates_failure_unless_the_load_generator_was_the_limit(
        tmp_path: Path, client_bound: bool, status: str) -> None:
    analysis, _ = read(tmp_path, (4, 64), {"ttft_p95": "2s"})
    broken = Check(5, "a check", "FAIL", "it does not hold.", {}, client_bound)
    results = [replace(result, checks=(broken,), verdicts=()) for result in analysis.results]
    analysis = replace(analysis, results=results)
    one = found(analysis, PRICE)
    assert (one.status, one.figure.value) == (status, None) and "a check: it does not hold." in one.reason


@pytest.mark.parametrize(("also", "status"), [((), "measured"), ((5,), "failed")])
def test_a_trial_that_only_measured_too_little_is_open(tmp_path: Path, also: tuple[int, ...], status: str) -> None:
    analysis, _ = read(tmp_path, (4, 64), {"ttft_p95": "2s"})
    broken = tuple(Check(group, "no drift", "FAIL", "it moved.", {}) for group in (6, *also))
    results = [replace(result, checks=broken, verdicts=()) for result in analysis.results]
    one = found(replace(analysis, results=results), PRICE)
    assert (one.status, one.figure.value) == (status, None) and "no drift: it moved." in one.reason


def test_a_trial_tells_its_windows_its_cost_and_its_points(tmp_path: Path) -> None:
    analysis, one = read(tmp_path, (1, 4, 64), {"ttft_p95": "2s"})
    assert one.measured_s == pytest.approx(sum(result.totals.window_s for result in analysis.results))
    assert one.usd == pytest.approx(analysis.total_usd)
    assert [point["meets"] for point in one.facts["points"]] == [True, True, False]


def test_every_trial_says_what_limited_it_or_that_nothing_tells(tmp_path: Path) -> None:
    _, one = read(tmp_path, (1, 4, 64), {"ttft_p95": "2s"})
    assert one.facts["limit"] in {*NEXT, "load", "unknown"} and one.facts["evidence"]
