"""Statistics, each named: nearest-rank percentiles with their floors, confidence intervals, drift, rank tests."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np

from fmload.metrics.definitions import Bools, Floats
from fmload.statistics.intervals import Interval, binomial_ranks

PERCENTILES = (50.0, 90.0, 95.0, 99.0)


@lru_cache(maxsize=4096)  # the same of every metric of a stage
def rank_of(percentile: float, n: float) -> int:
    """The 1-based nearest rank, ⌈p/100 · n⌉, free of binary rounding."""
    return max(1, math.ceil(Fraction(str(percentile)) / 100 * Fraction(n)))


def nearest_rank(ordered: Floats, percentile: float, failures: int = 0) -> float | None:
    """The nearest-rank percentile of ascending values, with so many failures as +∞ after them. None when empty."""
    n = len(ordered) + failures
    if n == 0:
        return None
    rank = rank_of(percentile, n)
    return float(ordered[rank - 1]) if rank <= len(ordered) else math.inf


def percentile_interval(ordered: Floats, percentile: float) -> Interval | None:
    """Order-statistic interval: the ranks between which the percentile lies by the binomial distribution.

    Distribution-free, coverage of at least 95 % for independent samples. None when empty.
    """
    n = len(ordered)
    if n == 0:
        return None
    low, high = binomial_ranks(n, percentile / 100)
    return Interval(float(ordered[low - 1]) if low >= 1 else None, float(ordered[high - 1]) if high <= n else None,
                    "order statistics (binomial)")


def mean_interval(values: Floats) -> Interval | None:
    """Interval of the mean by the normal approximation (1.96 standard errors). None below two samples."""
    if len(values) < 2:
        return None
    error = 1.959964 * float(values.std(ddof=1)) / math.sqrt(len(values))
    mean = float(values.mean())
    return Interval(mean - error, mean + error, "normal approximation")


def finite(values: Floats, keep: Bools | None = None) -> Floats:
    """The values that are not null, of the rows to keep."""
    kept = values if keep is None else values[keep]
    return kept[~np.isnan(kept)]
