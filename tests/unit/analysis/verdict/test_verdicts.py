"""Objectives, recommendations and exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from handmade import back_to_back, health, request, stage, write

from fmload.base.errors import FmloadError
from fmload.config.goodput import limits_of
from fmload.model.record import Record
from fmload_analysis.pipeline import analyse_run, exit_code
from fmload_analysis.run import open_run
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.objectives import judge, parse_objectives


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


def test_an_unknown_value_is_neither_met_nor_missed_and_says_so() -> None:
    (verdict,) = judge(parse_objectives({"price_per_10k_transactions": 50}), lambda name: None)
    assert (verdict.state, verdict.met, verdict.reason) == ("unknown", False, "price n/a")


@pytest.mark.parametrize(("n", "slow", "state"), [
    (58, 0, "unknown"), (59, 0, "met"), (92, 1, "unknown"), (140, 1, "met"), (10, 3, "missed"), (1, 0, "unknown")])
def test_a_percentile_is_met_missed_or_unknown_by_its_bounds(tmp_path: Path, n: int, slow: int, state: str) -> None:
    """0.95^59 < 5 %: 59 requests that all keep a limit show that p95 keeps it; with one that does not, 92 do not."""
    records = [request(f"r{k}", 10 * k, [10 * k + (9 if k % n >= slow else 500)]) for k in range(n)]
    found = run_of(tmp_path, [stage(window_ms=20_000)], records, {"e2e_p95": "100ms"}).results[0]
    assert (found.objectives, found.verdicts[0].state) == (state, state)


def test_failures_take_longer_than_any_limit_in_a_sweep_as_in_a_search(tmp_path: Path) -> None:
    good = [request(f"r{k}", 10 * k, [10 * k + 9]) for k in range(100)]
    bad = [request(f"f{k}", 7 + 25 * k, [], outcome="http_5xx", end_ms=8 + 25 * k) for k in range(40)]
    found = run_of(tmp_path, [stage(window_ms=20_000)], good + bad, {"e2e_p95": "100ms", "e2e_mean": "1s"}).results[0]
    assert [verdict.state for verdict in found.verdicts] == ["missed", "missed"]
    assert found.verdicts[0].value == float("inf")


def test_what_is_unknown_says_how_many_more_requests_would_settle_it(tmp_path: Path) -> None:
    few = [request(f"r{k}", 10 * k, [10 * k + 9]) for k in range(40)]
    found = run_of(tmp_path, [stage(window_ms=400)], few, {"e2e_p95": "100ms"})
    verdict = found.results[0].verdicts[0]
    assert (verdict.state, verdict.needed) == ("unknown", 19)
    assert "about 19 more requests" in (verdict.reason or "")
    assert "about 19 more requests" in found.best[0].sentence
    assert found.best[0].best is None
    assert exit_code(found, require_objectives=True) == 3


def test_a_percentile_of_token_gaps_is_judged_by_its_bounds(tmp_path: Path) -> None:
    def states(tmp: Path, requests: int) -> str | None:
        records = [request(f"r{k}", 100 * k, [100 * k + 10 + 5 * n for n in range(3)]) for k in range(requests)]
        return run_of(tmp, [stage(window_ms=20_000)], records, {"itl_p95": "8ms"}).results[0].objectives

    assert states(tmp_path / "few", 29) == "unknown"  # 58 gaps
    assert states(tmp_path / "enough", 30) == "met"


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


def test_a_stage_with_more_errors_than_one_in_a_hundred_is_never_best_and_is_named(tmp_path: Path) -> None:
    records = back_to_back()
    for record in records[::10]:  # of the cheaper one a guardrail ends every tenth answer
        record.outcome = "blocked"
    dear = back_to_back(400, length_ms=50, stage=1, endpoint="b")
    found = run_of(tmp_path, [stage(window_ms=20_000), stage(1, 20_000, endpoint="b")], records + dear, {})
    (best,) = found.best
    assert best.best is not None and best.best.endpoint == "b"
    assert "no errors" in best.sentence
    assert "Set aside because of 10 % errors: a at 1 user." in best.sentence


def test_the_highest_load_that_was_tried_does_not_bracket_the_capacity(tmp_path: Path) -> None:
    one = back_to_back()
    two = back_to_back(400, users=2, stage=1)
    stages = [stage(window_ms=20_000), stage(1, 20_000, concurrency=2)]
    (best,) = run_of(tmp_path, stages, one + two, {"e2e_p95": "1s"}).best
    assert best.best is not None and best.best.stage == 1
    assert not best.bracketed
    assert "not bracketed" in best.sentence


def test_nothing_measured_is_invalid(tmp_path: Path) -> None:
    found = run_of(tmp_path, [stage()], [request("f", 0, outcome="connect", end_ms=1)], {})
    assert exit_code(found) == 4
    assert "nothing was measured" in found.best[0].sentence


def test_a_price_of_no_transactions_is_unknown(tmp_path: Path) -> None:
    found = run_of(tmp_path, [stage()], [], {"price_per_10k_transactions": 50}).results[0]
    assert found.cost.price_per_transaction is None
    assert found.objectives == "unknown"
