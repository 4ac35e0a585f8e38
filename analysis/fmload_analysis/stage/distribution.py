"""The distribution of one metric over one stage: percentiles with their floors, intervals and bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fmload.metrics.definitions import Floats, ratio
from fmload.statistics.intervals import Interval, percentile_floor
from fmload_analysis.stage.samples import Samples
from fmload_analysis.stage.stats import PERCENTILES, mean_interval, nearest_rank, percentile_interval

CURVE = tuple(float(p) for p in range(0, 101, 2))


@dataclass(frozen=True, slots=True)
class Distribution:
    """One metric over one stage, in the metric's unit.

    `percentiles` are of successes, `with_failures` of all with a failure as +∞ (None: the metric is of tokens).
    A percentile is None below its floor, unless all were asked for: then it stands here and in `below_floor`.
    `low` and `high` bound the percentiles when interval-censored gaps are counted (None: nothing is censored).
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

    def stat(self, name: str) -> float | None:
        """`mean`, `stddev`, `min`, `max` or `p95`; None when unknown or blank."""
        named = {"mean": self.mean, "stddev": self.stddev, "min": self.minimum, "max": self.maximum}
        return named[name] if name in named else self.percentiles.get(float(name.removeprefix("p")))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to compute beyond the usual: further percentiles, per-request limits, and whether floors hold."""

    percentiles: tuple[float, ...] = PERCENTILES
    limits: Mapping[str, float] = field(default_factory=dict)  # request metric → largest good value
    floors: bool = True
    threshold_tokens_per_s: float | None = None


def of_requests(values: Floats, failures: int, wanted: Wanted) -> Distribution:
    """The distribution of a request metric; `values`: of successes, without nulls, in any order."""
    ordered = np.sort(values)
    n, n_all = len(ordered), len(ordered) + failures
    below = frozenset(p for p in wanted.percentiles if 0 < n < percentile_floor(p))
    shown = {p: None if wanted.floors and p in below else nearest_rank(ordered, p) for p in wanted.percentiles}
    all_shown = {p: None if wanted.floors and n_all < percentile_floor(p) else nearest_rank(ordered, p, failures)
                 for p in wanted.percentiles}
    if not n:
        return Distribution(0, n_all, percentiles=shown, with_failures=all_shown)
    found = {p: percentile_interval(ordered, p) for p in wanted.percentiles if shown[p] is not None}
    return Distribution(
        n=n, n_with_failures=n_all, mean=float(ordered.mean()), minimum=float(ordered[0]), maximum=float(ordered[-1]),
        stddev=float(ordered.std(ddof=1)) if n > 1 else None, percentiles=shown, with_failures=all_shown,
        below_floor=frozenset() if wanted.floors else below, mean_interval=mean_interval(ordered),
        intervals={p: interval for p, interval in found.items() if interval},
        curve=tuple(float(ordered[max(0, math.ceil(p / 100 * n) - 1)]) for p in CURVE))


def of_samples(known: Samples, low: Samples, high: Samples, total_s: float, wanted: Wanted) -> Distribution:
    """The distribution of a token metric: percentiles over known gaps, bounds with the censored ones counted.

    The mean is over all gaps, `total_s` their sum as stamped: neighbouring gaps share their ends, so what censoring
    moves from one to the other does not change it. Percentiles are blank where most gaps are censored.
    """
    n = int(known.n)
    below = frozenset(p for p in wanted.percentiles if 0 < n < percentile_floor(p))
    values = known.percentiles(tuple({*wanted.percentiles, *CURVE}))
    hidden = below if wanted.floors else frozenset()
    hidden |= frozenset(wanted.percentiles) if low.n > known.n else frozenset()
    censored = low.n > 0
    return Distribution(
        n=n, n_with_failures=n, mean=ratio(total_s, known.n + low.n),
        minimum=known.low if n else None, maximum=known.high if n else None,
        percentiles={p: None if p in hidden else values[p] for p in wanted.percentiles}, below_floor=below - hidden,
        low=known.with_others(low).percentiles(wanted.percentiles) if censored else None,
        high=known.with_others(high).percentiles(wanted.percentiles) if censored else None,
        curve=tuple(values[p] or 0.0 for p in CURVE) if n else ())
