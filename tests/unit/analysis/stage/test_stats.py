"""Percentiles, floors, intervals and rank tests against figures worked out by hand or published."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.statistics.intervals import percentile_floor, throughput_interval
from fmload.statistics.steady_state import drift, mann_whitney, warmed_up_at
from fmload_analysis.stage.samples import Samples
from fmload_analysis.stage.stats import nearest_rank, percentile_interval, rank_of

FLOATS = st.floats(min_value=1e-6, max_value=1e4)


@pytest.mark.parametrize(("percentile", "n", "rank"), [(50, 1, 1), (50, 2, 1), (50, 3, 2), (95, 20, 19), (99, 100, 99),
                                                       (99, 101, 100), (7, 100, 7), (100, 5, 5), (0, 5, 1)])
def test_nearest_rank_is_the_ceiling_without_binary_rounding(percentile: float, n: int, rank: int) -> None:
    assert rank_of(percentile, n) == rank


def test_a_failure_stands_above_every_value() -> None:
    ordered = np.array([1.0, 2.0, 3.0])
    assert nearest_rank(ordered, 75, failures=1) == 3.0
    assert nearest_rank(ordered, 76, failures=1) == math.inf


def test_nothing_has_no_percentile() -> None:
    assert nearest_rank(np.array([]), 50) is None


@pytest.mark.parametrize(("percentile", "floor"), [(50, 1), (90, 64), (95, 130), (99, 662), (99.9, 6636)])
def test_floors_are_those_of_loadgens_early_stopping(percentile: float, floor: int) -> None:
    assert percentile_floor(percentile) == floor


def test_interval_of_the_median_of_ten_has_the_tabulated_ranks() -> None:
    # the classic table: ranks 2 and 9 cover the median of 10 with 97.9 %
    interval = percentile_interval(np.arange(1.0, 11.0), 50)
    assert interval is not None
    assert (interval.low, interval.high) == (2.0, 9.0)


def test_interval_end_is_none_where_the_samples_do_not_reach() -> None:
    interval = percentile_interval(np.arange(1.0, 21.0), 99)
    assert interval is not None
    assert interval.high is None


def test_interval_of_a_percentile_covers_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    true = -math.log(0.1)  # p90 of the exponential
    covered = 0
    for _ in range(400):
        interval = percentile_interval(np.sort(rng.exponential(size=200)), 90)
        assert interval is not None and interval.low is not None and interval.high is not None
        covered += interval.low <= true <= interval.high
    assert covered >= 0.93 * 400


def test_interval_of_a_steady_rate_holds_the_rate() -> None:
    interval = throughput_interval(np.arange(0, 60, 0.5), np.ones(120), 60.0)
    assert interval is not None and interval.low is not None and interval.high is not None
    assert interval.low <= 2.0 <= interval.high
    assert interval.high - interval.low < 0.1


@given(st.lists(st.tuples(FLOATS, st.integers(1, 5)), min_size=1, max_size=60))
def test_weighted_samples_equal_the_values_repeated(pairs: list[tuple[float, int]]) -> None:
    values, weights = np.array([v for v, _ in pairs]), np.array([w for _, w in pairs])
    samples = Samples()
    samples.add(values, weights)
    repeated = np.sort(np.repeat(values, weights))
    assert samples.percentiles((50.0, 90.0, 99.0)) == {p: nearest_rank(repeated, p) for p in (50.0, 90.0, 99.0)}
    assert samples.mean == pytest.approx(repeated.mean())


@given(st.lists(FLOATS, min_size=1, max_size=200))
def test_folded_samples_keep_percentiles_within_a_bin_and_the_mean_exactly(values: list[float]) -> None:
    exact, folded = Samples(), Samples(limit=10)
    for part in np.array_split(np.array(values), 7):
        exact.add(part)
        folded.add(part)
    assert folded.mean == pytest.approx(exact.mean)
    for p, value in folded.percentiles().items():
        assert value == pytest.approx(exact.percentiles()[p], rel=2**-12)


def test_rank_test_finds_a_shift_and_none_where_there_is_none() -> None:
    rng = np.random.default_rng(7)
    a = rng.normal(size=200)
    shifted, same = mann_whitney(a, rng.normal(size=200) + 0.5), mann_whitney(a, rng.normal(size=200))
    assert shifted is not None and same is not None
    assert shifted.p_value < 1e-4 and shifted.effect > 0.6
    assert same.p_value > 0.01


def test_rank_test_of_published_figures() -> None:
    # complete separation of 10 and 10: U = 100, p = 1.8e-4 by the normal approximation with continuity correction
    found = mann_whitney(np.arange(10.0), np.arange(10.0) + 10)
    assert found is not None
    assert found.effect == 1.0
    assert found.p_value == pytest.approx(1.826e-4, rel=0.01)


def test_rank_test_of_equal_values_says_no_difference() -> None:
    found = mann_whitney(np.ones(20), np.ones(20))
    assert found is not None
    assert (found.p_value, found.effect) == (1.0, 0.5)


def test_drift_compares_the_halves_of_the_window() -> None:
    found = drift(np.arange(40.0), np.where(np.arange(40) < 20, 1.0, 2.0), middle=20.0)
    assert found is not None
    assert (found.first, found.second, found.change) == (1.0, 2.0, 1.0)
    assert found.p_value < 1e-6


def test_warm_up_ends_where_the_values_settle() -> None:
    instants = np.arange(200.0)
    values = np.where(instants < 30, 5.0, 1.0) + 0.01 * np.sin(instants)
    assert warmed_up_at(instants, values) == 30.0


def test_values_without_a_transient_are_warm_from_the_start() -> None:
    rng = np.random.default_rng(3)
    assert warmed_up_at(np.arange(500.0), rng.normal(10, 1, 500)) == 0.0


@given(st.lists(st.integers(0, 12), min_size=8, max_size=40), st.lists(st.integers(0, 12), min_size=8, max_size=40),
       st.booleans())
def test_the_rank_test_is_that_of_mean_ranks_to_the_last_digit(a: list[int], b: list[int], holes: bool) -> None:
    first, second = np.array(a, dtype=float), np.array(b, dtype=float)
    if holes:
        first[::3], second[::4] = np.nan, np.inf
    pooled = np.concatenate([first, second])
    _, inverse, counts = np.unique(pooled, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n, m, total = len(first), len(second), len(pooled)
    u = ranks[n:].sum() - m * (m + 1) / 2
    variance = n * m / 12 * ((total + 1) - float((counts.astype(float)**3 - counts).sum()) / (total * (total - 1)))
    found = mann_whitney(first, second)
    assert found is not None
    assert found.effect == (u / (n * m) if variance > 0 else 0.5)
    if variance > 0:
        z = max(abs(u - n * m / 2) - 0.5, 0) / math.sqrt(variance)
        assert found.p_value == math.erfc(z / math.sqrt(2))
