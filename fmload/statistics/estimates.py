"""What a stage's requests say of a metric so far: its value and a confidence interval. Pure.

Requests near each other in time are alike, which widens the interval (`intervals.design_effect`).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np

from fmload.config.objectives import RATES, Objective
from fmload.metrics.definitions import Bools, Floats, Ints
from fmload.statistics import intervals
from fmload.statistics.intervals import Interval
from fmload.statistics.observation import Seen


@dataclass(frozen=True, slots=True)
class Estimate:
    """`value` and the ends of its interval, in the metric's unit; infinite where a failed request holds the percentile,
    and an end is None where the samples do not reach. `n` counts samples, `effect` is their design effect."""

    value: float
    low: float | None
    high: float | None
    n: int
    effect: float = 1.0

    @property
    def half_width(self) -> float | None:
        """Half the interval as a share of the value; None without both ends, or of a value that is not positive."""
        if self.low is None or self.high is None or not 0 < self.value < math.inf:
            return None
        return (self.high - self.low) / 2 / self.value


# values in order of their requests' start, how often each counts, its request
OfRequests = tuple[Floats, Ints, Ints]
Samples = OfRequests | tuple[Floats, Ints, None]  # None: each is of a request of its own, once


def latency(what: Objective, seen: Seen, confidence: float, failed: float = math.nan) -> Estimate | None:
    """A percentile of a request or token metric, or the mean of a request metric. None when no request has a value.

    A failed request has the value `failed` (one gap of it, of a token metric): NaN leaves it out, +∞ counts it.
    """
    values, weights, rows = samples_of(what, seen, failed)
    if not len(values):
        return None
    if what.percentile is None:
        return mean(values, confidence)
    return _percentile(what.percentile, values, weights, rows, confidence)


def samples_of(what: Objective, seen: Seen, failed: float) -> OfRequests:
    """The samples of a request or token metric; `failed` as in `latency`."""
    return (_tokens if what.level == "token" else _requests)(what.metric, seen, failed)


def percentile_bounds(what: Objective, samples: Samples, confidence: float) -> Estimate | None:
    """A percentile with its one-sided bounds, each of `confidence`: the binomial test of the share of samples above a
    value, turned round. So `high` is within the objective's limit, and `low` beyond it, just where the test at the
    limit says so: 59 values within it are enough for p95 at 95 %. `effect` is that at the limit.

    Failed requests are samples of +∞. None when there is no sample.
    """
    assert what.percentile is not None
    values, weights, rows = samples
    if not len(values):
        return None
    n, error, left = int(weights.sum()), 1 - confidence, 1 - what.percentile / 100
    counted = of_each if rows is None or _one_a_request(weights, rows) else partial(_of_all, weights, rows)
    ordered = np.sort(values if rows is None else np.repeat(values, weights))
    value = float(ordered[max(1, math.ceil(Fraction(str(what.percentile)) / 100 * n)) - 1])
    levels = _different(ordered) if rows is None else np.unique(values)
    del ordered

    def tails(level: float) -> tuple[float, float]:
        above, effect = counted(values > level)
        return intervals.share_above(above, n, left, effect)

    place = int(np.searchsorted(levels, what.limit, side="right"))
    below = _first(levels, place, lambda level: tails(level)[0] <= error)
    above = _first(levels, place, lambda level: tails(level)[1] > error)
    return Estimate(value, float(levels[above]) if above or tails(-math.inf)[1] <= error else None,
                    float(levels[below]) if below < len(levels) else None, n,
                    counted(values > what.limit)[1])


def _one_a_request(weights: Ints, rows: Ints) -> bool:
    return bool((weights == 1).all()) and np.array_equal(rows, np.arange(len(rows)))


def _different(ordered: Floats) -> Floats:
    """The values of ascending ones, each once."""
    first = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered if first.all() else ordered[first]


def of_each(above: Bools) -> tuple[int, float]:
    """How many samples are above, and the design effect of their share, of samples of which each is a request of its
    own: as `effect_of`, in a tenth of the time."""
    n, found = len(above), int(np.count_nonzero(above))
    share = found / n
    return found, intervals.design_effect(np.subtract(above, share, dtype=np.float64), n * share * (1 - share))


def _of_all(weights: Ints, rows: Ints, above: Bools) -> tuple[int, float]:
    """How many samples are above, and the design effect of their share."""
    return int(weights[above].sum()), effect_of(above, weights, rows)


def _first(levels: Floats, place: int, holds: Callable[[float], bool]) -> int:
    """The first of ascending levels from which on something holds; so that it agrees with what holds at the one before
    `place`, even should it hold, fail and hold again. As many as there are levels when it never does."""
    if place and holds(float(levels[place - 1])):
        return bisect_left(levels, True, 0, place - 1, key=holds)
    return bisect_left(levels, True, place, len(levels), key=holds)


def rate(name: str, seen: Seen, from_ns: float, to_ns: float, confidence: float) -> Estimate | None:
    """Completed requests or their output tokens a second of a window, by batch means. None with too few of them."""
    assert name in RATES
    ended = seen.ok & (seen.ended_ns >= from_ns) & (seen.ended_ns < to_ns)
    amounts = np.nan_to_num(seen.columns.output_tokens) if name == "output_tokens_per_s" else np.ones(len(seen))
    window_s = (to_ns - from_ns) / 1e9
    found = intervals.throughput_interval((seen.ended_ns[ended] - from_ns) / 1e9, amounts[ended], window_s,
                                          confidence=confidence)
    if found is None:
        return None
    return Estimate(float(amounts[ended].sum()) / window_s, found.low, found.high, int(ended.sum()))


def _requests(metric: str, seen: Seen, failed: float) -> OfRequests:
    values = np.where(seen.failed, failed, np.where(seen.ok, seen.values(metric), np.nan))
    known = values[~np.isnan(values)]
    return known, np.ones(len(known), dtype=np.int64), np.arange(len(known))


def _tokens(metric: str, seen: Seen, failed: float) -> OfRequests:
    values, weights, rows = seen.samples(metric)
    kept = seen.ok[rows]
    lost = np.flatnonzero(seen.failed) if not math.isnan(failed) else np.array([], dtype=np.int64)
    return (np.concatenate([values[kept], np.full(len(lost), failed)]),
            np.concatenate([weights[kept], np.ones(len(lost), dtype=np.int64)]), np.concatenate([rows[kept], lost]))


def _percentile(percentile: float, values: Floats, weights: Ints, rows: Ints, confidence: float) -> Estimate:
    ordered = np.sort(np.repeat(values, weights))
    n = len(ordered)
    value = float(ordered[max(1, math.ceil(Fraction(str(percentile)) / 100 * n)) - 1])
    effect = effect_of(values > value if math.isfinite(value) else np.isinf(values), weights, rows)
    return _of(value, intervals.quantile_interval(ordered, percentile / 100, confidence, effect), n, effect)


def effect_of(above: Bools, weights: Ints, rows: Ints) -> float:
    """The design effect of the share of samples that are `above`, with the samples of a request taken together."""
    n = int(weights.sum())
    share = float((above * weights).sum() / n)
    residuals = np.bincount(rows, (above - share) * weights)
    return intervals.design_effect(residuals.astype(np.float64), n * share * (1 - share))


def mean(values: Floats, confidence: float) -> Estimate:
    """The mean of values in order; infinite where a failure counts as +∞."""
    if np.isinf(values).any():
        return Estimate(math.inf, math.inf, math.inf, len(values))
    average = float(values.mean())
    effect = intervals.design_effect(values - average)
    return _of(average, intervals.mean_interval(values, confidence, effect), len(values), effect)


def _of(value: float, found: Interval, n: int, effect: float) -> Estimate:
    return Estimate(value, found.low, found.high, n, effect)
