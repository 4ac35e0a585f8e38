"""Statistics, each named: nearest-rank percentiles with their floors, confidence intervals, drift, rank tests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from fmload.intervals import Interval, binomial_ranks
from fmload.metrics import Bools, Floats

PERCENTILES = (50.0, 90.0, 95.0, 99.0)
FLOOR_CONFIDENCE = 0.99


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


@cache
def percentile_floor(percentile: float) -> int:
    """The fewest samples with which a percentile is shown: 1 below p90, else the smallest n for which at most one
    sample above the true percentile has a probability of at most 1 %.

    p90: 64, p95: 130, p99: 662. The rule, and the figures, of MLPerf LoadGen's early stopping at 99 % confidence.
    """
    if percentile < 90:
        return 1
    p = percentile / 100
    n = 2
    while p**n + n * (1 - p) * p ** (n - 1) > 1 - FLOOR_CONFIDENCE:
        n += 1
    return n


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


def throughput_interval(instants_s: Floats, amounts: Floats, window_s: float, batches: int = 20) -> Interval | None:
    """Interval of Σ amounts ÷ window by batch means: the window is cut into equal batches, whose rates are compared.

    Batches, because completions near each other in time are not independent. None when fewer than two events a
    batch are there to be had.
    """
    batches = min(batches, len(instants_s) // 2)
    if batches < 5 or window_s <= 0:
        return None
    edges = np.linspace(0, window_s, batches + 1)
    sums, _ = np.histogram(instants_s, bins=edges, weights=amounts)
    rates = sums / (window_s / batches)
    error = student_t(batches - 1) * float(rates.std(ddof=1)) / math.sqrt(batches)
    return Interval(max(float(rates.mean()) - error, 0.0), float(rates.mean()) + error, "batch means (Student's t)")


_STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def student_t(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: tabulated to 10 degrees of freedom, then by Cornish–Fisher's expansion."""
    if freedom <= len(_STUDENT_T):
        return _STUDENT_T[freedom - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


@dataclass(frozen=True, slots=True)
class RankTest:
    """A two-sided Mann–Whitney test. `effect` is P(b > a) + ½P(b = a): 0.5 means no difference."""

    p_value: float
    effect: float
    method: str = "Mann–Whitney U (normal approximation, ties corrected)"


def mann_whitney(a: ArrayLike, b: ArrayLike) -> RankTest | None:
    """Whether b tends to be larger or smaller than a. None when either has fewer than eight values."""
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    n, m = len(first), len(second)
    if n < 8 or m < 8:
        return None
    ranks, ties = _ranks(np.concatenate([first, second]))
    u = float(ranks[n:].sum()) - m * (m + 1) / 2
    total = n + m
    variance = n * m / 12 * ((total + 1) - ties / (total * (total - 1)))
    if variance <= 0:
        return RankTest(1.0, 0.5)
    z = max(abs(u - n * m / 2) - 0.5, 0) / math.sqrt(variance)
    return RankTest(math.erfc(z / math.sqrt(2)), u / (n * m))


def _ranks(values: Floats) -> tuple[Floats, float]:
    """Mean ranks from 1, and Σ(t³ − t) over the groups of equal values."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean_rank = ends - (counts - 1) / 2
    sizes = counts.astype(float)
    return mean_rank[inverse], float((sizes**3 - sizes).sum())


@dataclass(frozen=True, slots=True)
class Drift:
    """The first half of a window against the second: medians, and whether they differ by more than chance."""

    first: float
    second: float
    n_first: int
    n_second: int
    p_value: float

    @property
    def change(self) -> float:
        """Relative change from the first half to the second."""
        return (self.second - self.first) / self.first if self.first else 0.0


def drift(instants: Floats, values: Floats, middle: float) -> Drift | None:
    """Values before the middle of the window against those after it. None with fewer than eight in a half."""
    first, second = values[instants < middle], values[instants >= middle]
    test = mann_whitney(first, second)
    if test is None:
        return None
    return Drift(float(np.median(first)), float(np.median(second)), len(first), len(second), test.p_value)


def warmed_up_at(instants: Floats, values: Floats, blocks: int = 20) -> float | None:
    """The instant from which the values no longer carry a start-up transient; 0 when there is none.

    MSER-5's rule on means of blocks of equal count in time order: the cut, in the first half, that gives the smallest
    standard error of the rest (White 1997). It counts where what is cut off differs from the rest by more than 5 % and
    by more than chance (Mann–Whitney, p < 1 %). None with fewer than three values a block.
    """
    if len(values) < 3 * blocks:
        return None
    order = np.argsort(instants, kind="stable")
    parts = np.array_split(values[order], blocks)
    means = np.array([part.mean() for part in parts])
    errors = [means[cut:].var() / (blocks - cut) for cut in range(blocks // 2)]
    cut = int(np.argmin(errors))
    start = sum(len(part) for part in parts[:cut])
    before, after = values[order][:start], values[order][start:]
    test = mann_whitney(before, after)
    if test is None or test.p_value >= 0.01 or abs(float(before.mean() / after.mean()) - 1) <= 0.05:
        return 0.0
    return float(instants[order][start])


def finite(values: Floats, keep: Bools | None = None) -> Floats:
    """The values that are not null, of the rows to keep."""
    kept = values if keep is None else values[keep]
    return kept[~np.isnan(kept)]
