"""The distribution of one metric over one stage: percentiles with their floors, intervals and bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fmload.config.objectives import Objective
from fmload.metrics.definitions import Floats, ratio
from fmload.statistics.intervals import Interval, binomial_ranks, percentile_floor
from fmload_analysis.stage.samples import Samples
from fmload_analysis.stage.stats import PERCENTILES, mean_interval, nearest_rank, percentile_interval

CURVE = tuple(float(p) for p in range(0, 101, 2))


@dataclass(frozen=True, slots=True)
class Distribution:
    """One metric over one stage, in the metric's unit.

    `percentiles` are of successes, `with_failures` of all with a failure as +∞ (None: the metric is of tokens).
    `below_floor` are those of fewer samples than the percentile needs: they are shown marked, with their `intervals`,
    and never compared as if they were known.
    `low` and `high` bound the percentiles when interval-censored gaps, or first tokens that came in late reads, are
    counted (None: nothing is censored).
    `curve`: the percentiles 0, 2, … 100, for plots.
    """

    n: int = 0
    n_with_failures: int = 0
    mean: float | None = None
    stddev: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    percentiles: Mapping[float, float | None] = field(default_factory=dict)
    with_failures: Mapping[float, float | None] | None = None
    below_floor: frozenset[float] = frozenset()
    intervals: Mapping[float, Interval] = field(default_factory=dict)
    mean_interval: Interval | None = None
    low: Mapping[float, float | None] | None = None
    high: Mapping[float, float | None] | None = None
    curve: tuple[float, ...] = ()

    def is_known(self, name: str) -> bool:
        """Whether a statistic has a value, and enough samples for it."""
        return self.stat(name) is not None and not (
            name.startswith("p") and float(name.removeprefix("p")) in self.below_floor)

    def stat(self, name: str) -> float | None:
        """`mean`, `stddev`, `min`, `max` or `p95`; None when unknown or blank."""
        named = {"mean": self.mean, "stddev": self.stddev, "min": self.minimum, "max": self.maximum}
        return named[name] if name in named else self.percentiles.get(float(name.removeprefix("p")))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to compute beyond the usual: further percentiles, objectives, limits of a good request."""

    percentiles: tuple[float, ...] = PERCENTILES
    objectives: tuple[Objective, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)  # request metric → largest good value
    threshold_tokens_per_s: float | None = None
    of_tenants: Mapping[str, tuple[Objective, ...]] = field(default_factory=dict)  # those that have their own


def of_requests(values: Floats, failures: int, wanted: Wanted) -> Distribution:
    """The distribution of a request metric; `values`: of successes, without nulls, in any order."""
    ordered = np.sort(values)
    n, n_all = len(ordered), len(ordered) + failures
    shown = {p: nearest_rank(ordered, p) for p in wanted.percentiles}
    all_shown = {p: nearest_rank(ordered, p, failures) for p in wanted.percentiles}
    if not n:
        return Distribution(0, n_all, percentiles=shown, with_failures=all_shown)
    found = {p: percentile_interval(ordered, p) for p in wanted.percentiles}
    return Distribution(
        n=n, n_with_failures=n_all, mean=float(ordered.mean()), minimum=float(ordered[0]), maximum=float(ordered[-1]),
        stddev=float(ordered.std(ddof=1)) if n > 1 else None, percentiles=shown, with_failures=all_shown,
        below_floor=_below_floor(n, wanted), mean_interval=mean_interval(ordered),
        intervals={p: interval for p, interval in found.items() if interval},
        curve=tuple(float(ordered[max(0, math.ceil(p / 100 * n) - 1)]) for p in CURVE))


def _below_floor(n: int, wanted: Wanted) -> frozenset[float]:
    return frozenset(p for p in wanted.percentiles if 0 < n < percentile_floor(p))


def of_samples(known: Samples, low: Samples, high: Samples, total_s: float, wanted: Wanted) -> Distribution:
    """The distribution of a token metric: percentiles over known gaps, bounds with the censored ones counted.

    The mean is over all gaps, `total_s` their sum as stamped: neighbouring gaps share their ends, so what censoring
    moves from one to the other does not change it. Percentiles are blank where most gaps are censored.
    """
    n = int(known.n)
    values = known.percentiles(tuple({*wanted.percentiles, *CURVE}))
    blank = low.n > known.n
    below = frozenset() if blank else _below_floor(n, wanted)
    censored = low.n > 0
    return Distribution(
        n=n, n_with_failures=n, mean=ratio(total_s, known.n + low.n),
        minimum=known.low if n else None, maximum=known.high if n else None,
        percentiles={p: None if blank else values[p] for p in wanted.percentiles}, below_floor=below,
        intervals={p: _interval(known, p) for p in below},
        low=known.with_others(low).percentiles(wanted.percentiles) if censored else None,
        high=known.with_others(high).percentiles(wanted.percentiles) if censored else None,
        curve=tuple(values[p] or 0.0 for p in CURVE) if n else ())


def _interval(known: Samples, percentile: float) -> Interval:
    """Order statistics, as if the gaps were independent."""
    low, high = binomial_ranks(int(known.n), percentile / 100)
    return Interval(known.at_rank(low), known.at_rank(high), "order statistics (binomial)")
