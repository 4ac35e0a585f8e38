"""Objectives, recommendations and exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from handmade import request, stage, write

from fmload.base.errors import FmloadError
from fmload.config.goodput import limits_of
from fmload.model.record import Record
from fmload_analysis.pipeline import analyse_run, exit_code
from fmload_analysis.run import open_run
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.objectives import judge, parse_objectives
from tests.unit.analysis.audit.test_audit import back_to_back, health


def test_units_are_read_and_bounds_follow_the_metric() -> None:
    found = {o.name: o for o in parse_objectives({
        "e2e_p95": "5s", "ttft_p99.9": "250ms", "error_rate": "1%", "requests_per_s": 4})}
    assert found["e2e_p95"].limit == 5.0
    assert (found["ttft_p99.9"].limit, found["ttft_p99.9"].percentile) == (0.25, 99.9)
    assert found["error_rate"].limit == 0.01
    assert found["requests_per_s"].bound == "at least"


@pytest.mark.parametrize(("objectives", "said"), [
    ({"e2e_p95": 5}, "no unit"), ({"e2e_p95": "soon"}, "not a duration"), ({"e2el_p95": "5s"}, "did you mean"),
    ({"itl": "5ms"}, "which statistic"), ({"error_rate": "none"}, "must be a number"),
    ({"requests_per_s_p95": 1}, "unknown metric")])
def test_an_objective_that_cannot_be_judged_is_an_error(objectives: dict[str, Any], said: str) -> None:
    with pytest.raises(FmloadError, match=said):
        parse_objectives(objectives)


def test_an_unknown_value_is_not_met_and_says_so() -> None:
    (verdict,) = judge(parse_objectives({"price_per_10k_transactions": 50}), lambda name: None)
    assert not verdict.met
    assert verdict.reason == "unknown: price n/a"


@pytest.mark.parametrize(("value", "met"), [(4.0, True), (3.9, False)])
def test_a_minimum_is_met_at_its_limit(value: float, met: bool) -> None:
    (verdict,) = judge(parse_objectives({"requests_per_s": 4}), lambda name: value)
    assert verdict.met is met


def test_each_requests_limit_is_that_of_the_highest_percentile_or_its_own() -> None:
    assert limits_of(parse_objectives({"e2e_p50": "2s", "e2e_p95": "5s", "e2e_mean": "1s"})) == {"e2e": 5}
    assert limits_of(parse_objectives({"ttft": "1s", "ttft_p95": "2s"})) == {"ttft": 1}


def run_of(tmp_path: Path, stages: list[dict[str, Any]], records: list[Record], objectives: dict[str, Any],
           **files: Any) -> Analysis:
    spec = {"endpoints": [{"name": "a", "price": {"hourly": 1.0}}, {"name": "b", "price": {"hourly": 4.0}}],
            "objectives": objectives}
    write(tmp_path, stages, records, spec=spec, **files)
    return analyse_run(open_run(tmp_path))


def two_endpoints(tmp_path: Path, objectives: dict[str, Any], **files: Any) -> Analysis:
    """Endpoint a: $1/h, 10 requests/s of 100 ms; endpoint b: $4/h, 20 requests/s of 50 ms; both at one user."""
    slow, fast = back_to_back(), back_to_back(400, length_ms=50, stage=1, endpoint="b")
    return run_of(tmp_path, [stage(window_ms=20_000), stage(1, 20_000, endpoint="b")], slow + fast, objectives, **files)


def test_the_cheapest_that_meets_the_objectives_is_best_and_by_how_much(tmp_path: Path) -> None:
    found = two_endpoints(tmp_path, {"e2e_p95": "1s"})
    (best,) = found.best
    assert best.best is not None and best.runner_up is not None
    assert (best.best.endpoint, best.runner_up.endpoint) == ("a", "b")
    # in 20 s 199 requests at $1 an hour against 399 at $4; the last of each ends as the window closes
    assert best.saving == pytest.approx(1 - (1 / 199) / (4 / 399))
    assert "50% cheaper than b" in best.sentence


def test_a_tighter_objective_makes_the_dearer_one_best(tmp_path: Path) -> None:
    (best,) = two_endpoints(tmp_path, {"e2e_p95": "60ms"}).best
    assert best.best is not None
    assert best.best.endpoint == "b"


def test_a_stage_that_failed_its_audit_is_never_best_and_is_named(tmp_path: Path) -> None:
    found = two_endpoints(tmp_path, {"e2e_p95": "1s"}, health=health(cpu=0.99))
    (best,) = found.best
    assert best.best is None
    assert {result.endpoint for result in best.set_aside} == {"a", "b"}
    assert "Set aside because the audit failed" in best.sentence


def test_no_stage_that_meets_the_objectives_is_said(tmp_path: Path) -> None:
    found = two_endpoints(tmp_path, {"e2e_p95": "1ms"})
    assert "no stage meets the objectives" in found.best[0].sentence
    assert (exit_code(found), exit_code(found, require_objectives=True)) == (0, 3)


def test_every_instance_type_and_prompt_set_has_its_sentence(tmp_path: Path) -> None:
    found = two_endpoints(tmp_path, {"e2e_p95": "1s"})
    assert [recommendation.scope for recommendation in found.per_instance] == ["p on a", "p on b"]


def test_nothing_measured_is_invalid(tmp_path: Path) -> None:
    found = run_of(tmp_path, [stage()], [request("f", 0, outcome="connect", end_ms=1)], {})
    assert exit_code(found) == 4
    assert "nothing was measured" in found.best[0].sentence


def test_a_price_of_no_transactions_is_unknown(tmp_path: Path) -> None:
    found = run_of(tmp_path, [stage()], [], {"price_per_10k_transactions": 50}).results[0]
    assert found.cost.price_per_transaction is None
    assert found.meets_objectives is False
