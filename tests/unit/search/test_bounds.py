"""The bounds that a verdict shows: they say what it says, and cover what they claim to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.config.objectives import parse_objectives
from fmload.search.verdicts import Judged, judge
from fmload.statistics import estimates
from fmload.statistics.estimates import percentile_bounds
from fmload.statistics.intervals import share_above
from fmload.statistics.observation import Seen
from tests.handmade import request


def judged(name: str, limit: str, lasting_s: object, failed: int = 0) -> Judged:
    """Requests, one after another each second, of which the last `failed` failed."""
    good = [request(f"r{i}", 1000 * i, [1000 * i + 1000 * lasts]) for i, lasts in enumerate(lasting_s)]  # type: ignore[arg-type, var-annotated]
    last = 1000 * len(good)
    bad = [request(f"f{i}", last + i, [], outcome="timeout", end_ms=last + i + 1) for i in range(failed)]
    return judge(parse_objectives({name: limit}), Seen([(one, 0) for one in [*good, *bad]]), 0.95).judged[0]


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(["e2e_p50", "e2e_p95", "e2e_mean"]), seed=st.integers(0, 10_000),
       n=st.integers(1, 400), limit=st.floats(0.5, 2.0), failed=st.integers(0, 8))
def test_a_load_meets_just_when_the_upper_bound_is_within_the_limit_and_fails_when_the_lower_is_beyond(
        name: str, seed: int, n: int, limit: float, failed: int) -> None:
    lasting_s = np.random.default_rng(seed).lognormal(0, 0.3, n).round(2)
    found = judged(name, f"{limit:.2f}s", lasting_s, failed)
    assert (found.result == "meets") == (found.high is not None and found.high <= found.limit)
    assert found.result == "fails" or found.low is None or found.low <= found.limit
    assert found.result != "fails" or found.low is None or found.low > found.limit


def test_the_upper_bound_of_a_percentile_is_where_the_binomial_test_first_says_below() -> None:
    """200 requests of 1, 2 … 200 ms. At most 4 of 200 above a limit show, with 95 %, that under 5 % are."""
    assert share_above(4, 200, 0.05)[0] <= 0.05 < share_above(5, 200, 0.05)[0]
    assert share_above(15, 200, 0.05)[1] > 0.05 >= share_above(16, 200, 0.05)[1]
    evenly = (np.arange(200) * 123 % 200 + 1) / 1000  # long ones are never together: the design effect is 1
    found = judged("e2e_p95", "1s", evenly)
    assert found.value == pytest.approx(0.190)
    assert found.high == pytest.approx(0.196)  # 4 are above
    assert found.low == pytest.approx(0.185)  # 15 are above, and 16 are above 184


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 400), limit=st.floats(0.5, 2.0))
def test_bounds_of_one_sample_a_request_are_those_of_the_rule_for_many(seed: int, n: int, limit: float) -> None:
    values = np.random.default_rng(seed).lognormal(0, 0.3, n).round(2)
    values[np.arange(n) % 7 == 6] = np.inf
    samples = values, np.ones(n, dtype=np.int64), np.arange(n)
    objective, = parse_objectives({"e2e_p90": f"{limit:.2f}s"})
    found = percentile_bounds(objective, samples, 0.95)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimates, "_one_a_request", lambda *_: False)
        assert found == percentile_bounds(objective, samples, 0.95)
    assert found == percentile_bounds(objective, (values, samples[1], None), 0.95)  # told to be of a request each


def test_a_sample_of_weight_two_bounds_as_two_samples_of_its_request_do() -> None:
    values, rows = np.repeat(np.arange(200) * 123 % 200, 2) / 100.0, np.repeat(np.arange(200), 2)
    objective, = parse_objectives({"itl_p90": "1.5s"})
    many = percentile_bounds(objective, (values, np.ones(400, dtype=np.int64), rows), 0.95)
    weighted = percentile_bounds(objective, (values[::2], np.full(200, 2), np.arange(200)), 0.95)
    assert many == weighted and many is not None and many.n == 400


def test_a_bound_is_open_where_the_samples_do_not_reach_or_a_failed_request_holds_it() -> None:
    few = judged("e2e_p95", "1s", [0.5] * 58)
    assert (few.low, few.high) == (0.5, None) and few.result == "unclear"
    assert few.needed == 1  # 59 that all keep the limit show it
    failing = judged("e2e_p95", "10s", np.linspace(0.5, 0.9, 200), failed=6)
    assert failing.low is not None and failing.high is None and failing.result == "unclear"
    lost = judged("e2e_p95", "10s", [0.5] * 10, failed=190)
    assert (lost.value, lost.low, lost.high) == (None, None, None) and lost.result == "fails"


@pytest.mark.parametrize(("name", "limit"), [("e2e_p95", "1s"), ("e2e_p90", "2500ms"), ("e2e_mean", "1100ms")])
def test_as_many_more_requests_as_are_asked_for_settle_it(name: str, limit: str) -> None:
    """Even mixtures, so that more requests are like those that are there."""
    pattern = {"e2e_p95": [0.5, 0.9], "e2e_p90": [1.0] * 19 + [3.0], "e2e_mean": [0.4, 1.6]}[name]
    few = judged(name, limit, (pattern * 40)[:40])
    assert few.result == "unclear" and few.needed
    total = 40 + few.needed
    settled = judged(name, limit, (pattern * total)[:total + len(pattern)])
    assert settled.result == "meets"


@pytest.mark.parametrize("name", ["e2e_p90", "e2e_mean"])
def test_each_bound_covers_the_truth_as_often_as_it_claims(name: str) -> None:
    """Independent requests of a known distribution: exponential with mean 1 s, so p90 = ln 10 s."""
    draw, times = np.random.default_rng(5), 200
    truth = float(np.log(10)) if name == "e2e_p90" else 1.0
    found = [judged(name, "1s", draw.exponential(1, 150)) for _ in range(times)]
    below = sum(one.high is not None and one.high < truth for one in found)
    above = sum(one.low is not None and one.low > truth for one in found)
    assert below / times <= 0.10 and above / times <= 0.10
    assert below + above > 0  # neither is so wide that it says nothing
