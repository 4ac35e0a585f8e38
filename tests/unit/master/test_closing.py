"""What closes a window and ends a warm-up, on the master's clock, by requests made by hand."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fmload.config.objectives import statistic
from fmload.master import stop_conditions as closing
from fmload.model.record import Record, pack
from fmload.model.stage import Load, Stage, Until, WarmUp
from fmload.model.verdict import Reached
from fmload.statistics import estimates
from fmload.statistics.observation import Observation, Seen
from fmload.statistics.steady_state import settled
from tests.handmade import BASE_NS, MS
from tests.handmade import request as record

S = 1000 * MS
UNTIL = Until("e2e_p50", within=0.05, confidence=0.95, at_least_s=10.0)


def stage(**columns: Any) -> Stage:
    given: dict[str, Any] = {"ramp_s": 0.0, "warmup_s": 60.0, "window_s": 600.0, "requests": None, "drain_s": 10.0,
                             "warmup_start_ns": BASE_NS, "window_start_ns": BASE_NS}
    return Stage(0, 0, 0, "a", "p", Load("concurrency", 1), {}, **{**given, **columns})


def requests(lasting_s: Iterable[float], every_s: float = 0.1) -> list[Record]:
    return [record(f"r{i}", 1000 * every_s * i, [1000 * (every_s * i + lasts)]) for i, lasts in enumerate(lasting_s)]


def observed(records: Iterable[Record], offset_ns: int = 0) -> Observation:
    observation = Observation()
    observation.watch([], [0])
    observation.take([pack(one) for one in records], offset_ns)
    return observation


def first_reason(closings: Iterable[closing.Closing], until_s: int = 700, step_s: float = 0.5) -> tuple[float, str]:
    """When the first of them gives a reason, and which."""
    asked = list(closings)
    for step in range(int(until_s / step_s)):
        reason = next(filter(None, (close(BASE_NS + int(step * step_s * S)) for close in asked)), None)
        if reason is not None:
            return step * step_s, reason
    raise AssertionError("nothing closed it")


def test_a_window_of_a_time_closes_at_that_time() -> None:
    assert first_reason(closing.window(stage(), Observation(), 60.0)) == (60.0, "time")


def test_requests_of_the_warmup_do_not_count_in_the_window() -> None:
    observation = observed(requests([0.05] * 100))
    late = stage(requests=30, window_start_ns=BASE_NS + 5 * S)
    closings = closing.window(late, observation, 600.0)
    assert observation.ended_since(0, BASE_NS) == 100
    assert observation.ended_since(0, BASE_NS + 5 * S) == 50
    assert first_reason(closings) == (0.0, "requests")
    assert closing.window(stage(requests=51, window_start_ns=BASE_NS + 5 * S), observation, 600.0)[0](BASE_NS) is None


def test_instants_of_other_hosts_are_counted_on_the_masters_clock() -> None:
    observation = observed(requests([0.05] * 10), offset_ns=-100 * S)
    assert observation.ended_since(0, BASE_NS + 99 * S) == 10


def test_a_window_closes_once_its_metric_is_known_and_not_before_it_is_looked_at() -> None:
    draw = random.Random(1)
    precise = stage(until=UNTIL)
    # 20 % of scatter: ± 5 % of the median needs about a hundred requests, ten seconds of them
    closings = closing.window(precise, observed(requests(draw.gauss(1.0, 0.2) for _ in range(5000))), 600.0)
    at_s, reason = first_reason(closings)
    assert reason == "precise" and at_s == 10.0
    assert precise.reached and (precise.reached.half_width or 1) <= 0.05


def test_a_window_whose_metric_stays_unknown_closes_at_its_limit() -> None:
    draw = random.Random(1)
    wide = stage(until=replace(UNTIL, metric="e2e_p99", within=0.001))
    closings = closing.window(wide, observed(requests(draw.expovariate(1.0) for _ in range(2000))), 30.0)
    assert first_reason(closings) == (30.0, "at_most")
    assert wide.reached is None or wide.reached.half_width is None or wide.reached.half_width > 0.001


def test_the_interval_at_which_a_window_closes_holds_the_truth_as_often_as_it_says() -> None:
    """Looking again and again and stopping at a width costs little of the confidence: 300 simulated stages."""
    draw = np.random.default_rng(7)
    truth, held = float(np.log(2)), 0  # the median of an exponential
    for _ in range(300):
        values = np.sort(draw.exponential(1.0, 4000).cumsum()), draw.exponential(1.0, 4000)
        n, found = 40, None
        while n < 4000:
            ordered = np.sort(values[1][:n])
            found = estimates.intervals.quantile_interval(ordered, 0.5, 0.95)
            assert found.low is not None and found.high is not None
            if (found.high - found.low) / 2 <= 0.1 * ordered[n // 2]:
                break
            n = int(n * closing.GROWTH)
        assert found is not None and found.low is not None and found.high is not None
        held += found.low <= truth <= found.high
    assert held / 300 >= 0.92


def test_only_requests_that_had_time_to_end_say_how_long_requests_take() -> None:
    """At ten seconds the long ones of the last second have not ended yet: those that have are no fair sample."""
    records = requests(2.0 if i % 2 else 0.1 for i in range(200))
    there = [one for one in records if one.end_ns and one.end_ns <= BASE_NS + 10 * S]
    seen = Seen([(one, 0) for one in there])
    fair = seen.settled(BASE_NS, BASE_NS + 10 * S)
    assert np.mean(seen.values("e2e") > 1) < 0.46
    assert np.mean(fair.values("e2e") > 1) == pytest.approx(0.5, abs=0.01)


def test_a_failed_request_is_left_out_of_a_latency_or_counts_as_endless() -> None:
    records = [*requests([1.0] * 30), *(record(f"f{i}", 100, [], outcome="timeout", end_ms=200) for i in range(10))]
    seen = Seen([(one, 0) for one in records])
    p90 = statistic("e2e_p90")
    without, counted = estimates.latency(p90, seen, 0.95), estimates.latency(p90, seen, 0.95, failed=float("inf"))
    assert without is not None and without.n == 30 and without.value == pytest.approx(1.0)
    assert counted is not None and counted.n == 40 and counted.value == float("inf") and counted.half_width is None


def test_a_throughput_is_known_by_the_spread_of_its_batches() -> None:
    seen = Seen([(one, 0) for one in requests([0.5] * 400)])
    found = estimates.rate("requests_per_s", seen, BASE_NS, BASE_NS + 30 * S, 0.95)
    assert found is not None and found.value == pytest.approx(10.0, rel=0.02)
    assert found.half_width is not None and found.half_width < 0.05


def test_a_warmup_of_requests_ends_with_them_or_at_its_limit() -> None:
    observation = observed(requests([0.05] * 100))
    asked = stage(warmup=WarmUp(requests=100), window_start_ns=0)
    assert first_reason(closing.warmup(asked, observation)) == (0.0, "requests")
    more = stage(warmup=WarmUp(requests=101), window_start_ns=0)
    assert first_reason(closing.warmup(more, observation)) == (60.0, "at_most")


def test_a_warmup_lasts_as_long_as_its_transient() -> None:
    """E2E latency falls from 3 s to 1 s with a time constant of 5 s; requests come as time passes."""
    draw = random.Random(2)
    lasting = [1.0 + 2.0 * np.exp(-i * 0.1 / 5) + draw.gauss(0, 0.05) for i in range(2000)]
    records = requests(lasting)
    asked = stage(warmup=WarmUp(steady="e2e"), warmup_s=120.0, window_start_ns=0)
    observation = Observation()
    observation.watch([], [0])
    ends, at_s = closing.warmup(asked, observation), 0.0
    waiting, reason = sorted(records, key=lambda one: one.end_ns or 0), None
    while reason is None:
        at_s += 0.5
        now_ns = BASE_NS + int(at_s * S)
        here = [one for one in waiting if (one.end_ns or 0) <= now_ns]
        waiting = waiting[len(here):]
        observation.take([pack(one) for one in here], 0)
        reason = next(filter(None, (end(now_ns) for end in ends)), None)
    assert reason == "steady"
    assert 15.0 <= at_s <= 50.0  # three to ten time constants


@pytest.mark.parametrize("seed", range(5))
def test_values_of_one_kind_are_settled_and_a_trend_is_not(seed: int) -> None:
    draw = np.random.default_rng(seed)
    assert settled(draw.normal(10, 1, 200))
    assert settled(np.full(40, 3.0))
    assert not settled(np.linspace(10, 20, 200) + draw.normal(0, 1, 200))
    assert not settled(draw.normal(10, 1, 30))  # too few to tell


def test_what_a_stage_waits_for_is_told_with_how_far_it_is() -> None:
    observation = observed(requests([0.05] * 12))
    assert closing.waits_for(stage(requests=50), observation) == "12 of 50 requests"
    assert closing.waits_for(stage(), observation) == ""
    known = stage(until=UNTIL, reached=Reached("e2e_p50", half_width=0.081))
    assert closing.waits_for(known, observation) == "until e2e_p50 ± 5 %, now ± 8.1 %"
    warming = stage(warmup=WarmUp(steady="e2e"), window_start_ns=0)
    assert closing.waits_for(warming, observation) == "until e2e is steady"
