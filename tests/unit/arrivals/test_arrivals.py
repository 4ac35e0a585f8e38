from __future__ import annotations

import bisect
import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.arrivals import schedule, share
from fmload.base.errors import FmloadError
from fmload.plugins import ARRIVALS

STEADY: list[dict[str, Any]] = [
    {"process": "constant"}, {"process": "poisson"}, {"process": "gamma", "burstiness": 0.5}]
RAMP: dict[str, Any] = {"process": "ramp", "from": 0.1, "over": "60s"}
STEP: dict[str, Any] = {"process": "step", "levels": [0.25, 0.0, 1.0, 0.5], "every": "15s"}
DIURNAL: dict[str, Any] = {"process": "diurnal", "period": "40s", "low": 0.2}
# Each profile with its rate at t seconds after the window's opening, as a share of the asked one, written out anew.
PROFILES: list[tuple[dict[str, Any], Callable[[float], float]]] = [
    (RAMP, lambda t: min(1.0, 0.1 + 0.9 * t / 60)),
    ({**RAMP, "from": 3.0}, lambda t: max(1.0, 3.0 - 2.0 * t / 60)),
    (STEP, lambda t: [0.25, 0.0, 1.0, 0.5][min(3, int(t // 15))]),
    ({**STEP, "repeat": True}, lambda t: [0.25, 0.0, 1.0, 0.5][int(t // 15) % 4]),
    (DIURNAL, lambda t: 0.2 + 0.8 * (1 - math.cos(2 * math.pi * t / 40)) / 2),
]
EVERY = [*STEADY, *(arrivals for arrivals, _ in PROFILES)]
KS_AT_ONE_IN_A_THOUSAND = 1.95  # ÷ √n: Kolmogorov's limit distribution


def named(arrivals: Any) -> str:
    return "-".join(map(str, arrivals.values())) if isinstance(arrivals, dict) else ""


def first(instants: Iterator[float], n: int) -> list[float]:
    return list(itertools.islice(instants, n))


def until(instants: Iterator[float], end_s: float) -> list[float]:
    return list(itertools.takewhile(lambda instant: instant < end_s, instants))


def gaps_of(instants: Sequence[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(instants)]


def distance(values: Sequence[float], distribution: Callable[[float], float]) -> float:
    """Kolmogorov–Smirnov distance × √n."""
    expected, n = [distribution(x) for x in sorted(values)], len(values)
    return max(max((i + 1) / n - share, share - i / n) for i, share in enumerate(expected)) * math.sqrt(n)


def exponential(x: float) -> float:
    return 1 - math.exp(-x)


def test_every_process_is_among_those_tested() -> None:
    assert {arrivals["process"] for arrivals in EVERY} == set(ARRIVALS.names())


@pytest.mark.parametrize("arrivals", EVERY, ids=named)
@settings(max_examples=8)
@given(workers=st.integers(1, 9), seed=st.text(max_size=5), lead_s=st.floats(0, 20))
def test_the_shares_of_all_workers_together_are_the_asked_process(arrivals: dict[str, Any], workers: int, seed: str,
                                                                  lead_s: float) -> None:
    whole = first(schedule(arrivals, 50.0, seed, lead_s), 45)
    shares = [first(share(schedule(arrivals, 50.0, seed, lead_s), index, workers), 45 // workers)
              for index in range(workers)]
    together = sorted(itertools.chain.from_iterable(shares))
    assert together == whole[:len(together)]


@pytest.mark.parametrize("arrivals", EVERY, ids=named)
@settings(max_examples=8)
@given(seed=st.text(max_size=5), rate=st.floats(0.01, 1e4))
def test_instants_ascend_and_a_seed_decides_them(arrivals: dict[str, Any], seed: str, rate: float) -> None:
    instants = first(schedule(arrivals, rate, seed), 200)
    assert all(before <= after for before, after in itertools.pairwise(instants))
    assert instants == first(schedule(arrivals, rate, seed), 200)


@pytest.mark.parametrize("arrivals", STEADY, ids=named)
def test_the_mean_rate_of_a_steady_process_is_the_asked_one(arrivals: dict[str, Any]) -> None:
    instants = first(schedule(arrivals, 200.0, "seed"), 20_000)
    assert len(instants) / instants[-1] == pytest.approx(200.0, rel=0.03)


@pytest.mark.parametrize(("arrivals", "dispersion"), [
    ({"process": "constant"}, 0.0), ({"process": "poisson"}, 1.0), ({"process": "gamma", "burstiness": 0.25}, 4.0),
    ({"process": "gamma", "burstiness": 4.0}, 0.25)], ids=named)
def test_gaps_and_counts_spread_as_the_process_says(arrivals: dict[str, Any], dispersion: float) -> None:
    instants = first(schedule(arrivals, 100.0, "seed"), 40_000)
    gaps = gaps_of(instants)
    assert statistics.variance(gaps) / statistics.mean(gaps) ** 2 == pytest.approx(dispersion, rel=0.1, abs=1e-9)
    counts = [bisect.bisect_left(instants, second + 1) - bisect.bisect_left(instants, second) for second in range(390)]
    # The index of dispersion of counts; in a second of 100 arrivals it is near its limit, the gaps' own variation.
    assert statistics.variance(counts) / statistics.mean(counts) == pytest.approx(dispersion, rel=0.2, abs=0.01)


@pytest.mark.parametrize(("arrivals", "distribution"), [
    ({"process": "poisson"}, exponential),
    ({"process": "gamma", "burstiness": 0.5}, lambda x: math.erf(math.sqrt(x / 2))),
    ({"process": "gamma", "burstiness": 2.0}, lambda x: 1 - math.exp(-2 * x) * (1 + 2 * x))], ids=named)
def test_gaps_have_the_distribution_of_the_process(arrivals: dict[str, Any],
                                                   distribution: Callable[[float], float]) -> None:
    gaps = gaps_of(first(schedule(arrivals, 7.0, "seed"), 10_000))
    assert distance([gap * 7.0 for gap in gaps], distribution) < KS_AT_ONE_IN_A_THOUSAND


def integrated(rate: Callable[[float], float], end_s: float) -> Callable[[float], float]:
    """Λ by the midpoint rule at every hundredth of a second, and straight lines between."""
    sums = [0.0, *itertools.accumulate(rate((i + 0.5) / 100) / 100 for i in range(round(end_s * 100) + 1))]

    def at(t: float) -> float:
        whole = int(t * 100)
        return sums[whole] + (t * 100 - whole) * (sums[whole + 1] - sums[whole])
    return at


@pytest.mark.parametrize(("arrivals", "rate"), PROFILES, ids=named)
def test_put_back_through_the_integrated_rate_the_gaps_of_a_profile_are_exponential(
        arrivals: dict[str, Any], rate: Callable[[float], float]) -> None:
    lead_s, per_s, end_s = 5.0, 80.0, 100.0
    summed = integrated(rate, end_s)
    instants = [instant - lead_s for instant in until(schedule(arrivals, per_s, "seed", lead_s), lead_s + end_s)]
    inside = [instant for instant in instants if instant >= 0]
    expected = per_s * summed(end_s)
    assert len(inside) == pytest.approx(expected, abs=4 * math.sqrt(expected))
    counts = [per_s * summed(instant) for instant in inside]
    assert distance(gaps_of(counts), exponential) < KS_AT_ONE_IN_A_THOUSAND
    # And they come when the rate wants them: their instants, given their number, are spread as Λ.
    assert distance([count / expected for count in counts], lambda x: x) < KS_AT_ONE_IN_A_THOUSAND


@pytest.mark.parametrize(("arrivals", "rate"), PROFILES, ids=named)
def test_without_chance_a_profile_has_one_arrival_at_every_whole_number_of_the_integrated_rate(
        arrivals: dict[str, Any], rate: Callable[[float], float]) -> None:
    summed = integrated(rate, 90.0)
    instants = until(schedule({**arrivals, "base": "constant"}, 10.0, ""), 90.0)
    assert [10.0 * summed(instant) for instant in instants] == pytest.approx(list(range(len(instants))), abs=1e-3)


def test_before_the_window_opens_the_first_rate_of_a_profile_holds() -> None:
    instants = until(schedule({**STEP, "base": "constant"}, 40.0, "", lead_s=3.0), 3.0)
    assert instants == pytest.approx([k / 10 for k in range(30)])
    assert not until(schedule({**RAMP, "from": 0}, 40.0, "", lead_s=3.0), 3.0)


def test_constant_arrivals_do_not_drift() -> None:
    assert first(schedule({"process": "constant"}, 10.0, ""), 100_001)[-1] == 10_000.0


def test_other_seeds_give_other_schedules() -> None:
    one, other = (first(schedule({"process": "poisson"}, 1.0, seed), 50) for seed in ("a", "b"))
    assert one != other


@pytest.mark.parametrize(("arrivals", "words"), [
    ({"process": "gama"}, "did you mean 'gamma'"), ({"process": "gamma", "burstiness": 0}, "burstiness.*above|greater"),
    ({"process": "constant", "burst": 3}, "burst"), ({"process": "ramp"}, "over"),
    ({"process": "step", "levels": [1, 0], "every": "5s"}, "levels: ends in 0")])
def test_what_is_no_process_is_refused(arrivals: dict[str, Any], words: str) -> None:
    with pytest.raises(FmloadError, match=words):
        first(schedule(arrivals, 1.0, ""), 1)
