"""Confidence intervals by their names: of percentiles, shares and means, of values that need not be independent.

Latencies of neighbouring requests are alike: they shared a batch, or waited in one queue. `design_effect` measures how
much; n alike values then say as much as n ÷ design effect independent ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
BATCHES = 20
LEAST_BATCHES = 8
FLOOR_CONFIDENCE = 0.99
BATCH_OF = 4  # requests in a batch, at least


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval and the name of its method. An end is None where the samples do not reach."""

    low: float | None
    high: float | None
    method: str
    confidence: float = CONFIDENCE


@lru_cache(maxsize=4096)  # the same of every metric of a stage
def binomial_ranks(n: int, p: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Ranks l < u with P(B < l) ≤ α/2 and P(B ≥ u) ≤ α/2 for B ~ Binomial(n, p): between the l-th and the u-th of n
    ascending independent values lies their p-quantile, whatever their distribution. 0 and n + 1 are beyond them."""
    alpha = 1 - confidence
    first, chances = _binomial(n, p)
    cdf = np.cumsum(chances)
    low = first + int(np.searchsorted(cdf, alpha / 2, side="right"))
    high = first + int(np.searchsorted(cdf, 1 - alpha / 2, side="left")) + 1
    return low, high


def share_above(k: int, n: int, p: float, effect: float = 1.0) -> tuple[float, float]:
    """Evidence that a share is below p, and above it, when k of n were counted: the one-sided p-values of the binomial
    test (its tails at k), with n and k scaled down to as many independent values as the sample is worth."""
    worth = max(1, int(n / effect))
    fewer, more = math.ceil(k * worth / n), math.floor(k * worth / n)
    first, chances = _binomial(worth, p)
    return float(chances[:max(0, fewer + 1 - first)].sum()), float(chances[max(0, more - first):].sum())


MOST_NEEDED = 1_000_000  # requests that more of would be asked for


def more_needed(n: int, settled: Callable[[int], bool]) -> int | None:
    """How many samples more than n settle a question, if they are like those that are there: `settled` says it of a
    whole number of samples. None where MOST_NEEDED do not."""
    low, high = n, max(2 * n, 16)
    while not settled(high):
        if high >= MOST_NEEDED:
            return None
        low, high = high, min(2 * high, MOST_NEEDED)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high - n


def more_for_share(above: int, n: int, left: float, effect: float, error: float) -> int | None:
    """How many samples more show, at the same share of them above a limit, that fewer than `left` are above it, or
    that more are. None where the shares are the same."""
    share = above / n
    if share == left:
        return None
    side = 0 if share < left else 1
    return more_needed(n, lambda total: share_above(round(share * total), total, left, effect)[side] <= error)


def _binomial(n: int, p: float) -> tuple[int, Floats]:
    """The chances of first, first + 1 … of n: all that are within eight standard deviations, outside of which no
    chance counts."""
    spread = 8 * math.sqrt(n * p * (1 - p)) + 8
    first, last = max(0, math.floor(n * p - spread)), min(n, math.ceil(n * p + spread))
    k = np.arange(first, last + 1)
    log_factorial = np.vectorize(math.lgamma, otypes=[float])
    ways = math.lgamma(n + 1) - log_factorial(k + 1) - log_factorial(n - k + 1)
    return first, np.exp(ways + k * math.log(p) + (n - k) * math.log1p(-p))


def quantile_interval(ordered: Floats, p: float, confidence: float = CONFIDENCE, effect: float = 1.0) -> Interval:
    """Order-statistic interval of the p-quantile of ascending values; +∞ among them is a value like any other.

    With a design effect the ranks are those of as many independent values as the sample is worth, scaled to it.
    """
    n = len(ordered)
    worth = int(n / effect)
    if worth < 1:
        return Interval(None, None, "order statistics (binomial)", confidence)
    low, high = binomial_ranks(worth, p, confidence)
    return Interval(float(ordered[math.floor(low * n / worth) - 1]) if low >= 1 else None,
                    float(ordered[math.ceil(high * n / worth) - 1]) if high <= worth else None,
                    "order statistics (binomial)", confidence)


def wilson(share: float, n: float, confidence: float = CONFIDENCE, effect: float = 1.0) -> Interval:
    """Wilson's score interval of a share of `n` (Wilson, JASA 22, 1927). Both ends are inside 0 and 1."""
    worth = n / effect
    if worth <= 0:
        return Interval(None, None, "Wilson score", confidence)
    z = normal_quantile(confidence)
    center = (share + z * z / (2 * worth)) / (1 + z * z / worth)
    error = z / (1 + z * z / worth) * math.sqrt(share * (1 - share) / worth + z * z / (4 * worth * worth))
    low, high = center - error if share > 0 else 0.0, center + error if share < 1 else 1.0  # exact, but for rounding
    return Interval(low, high, "Wilson score", confidence)


def mean_interval(values: Floats, confidence: float = CONFIDENCE, effect: float = 1.0) -> Interval:
    """Interval of the mean by the normal approximation. Without ends below two values."""
    if len(values) < 2 or not math.isfinite(mean := float(values.mean())):
        return Interval(None, None, "normal approximation", confidence)
    reach = normal_quantile(confidence) * float(values.std(ddof=1)) * math.sqrt(effect / len(values))
    return Interval(mean - reach, mean + reach, "normal approximation", confidence)


def throughput_interval(instants_s: Floats, amounts: Floats, window_s: float, batches: int = BATCHES,
                        confidence: float = CONFIDENCE) -> Interval | None:
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
    error = student_t(batches - 1, confidence) * float(rates.std(ddof=1)) / math.sqrt(batches)
    return Interval(max(float(rates.mean()) - error, 0.0), float(rates.mean()) + error, "batch means (Student's t)",
                    confidence)


_STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def student_t(freedom: int, confidence: float = CONFIDENCE) -> float:
    """How many standard errors a two-sided interval reaches by Student's t: tabulated for 95 % to 10 degrees of
    freedom, else by Cornish–Fisher's expansion."""
    if freedom <= len(_STUDENT_T) and confidence == CONFIDENCE:
        return _STUDENT_T[freedom - 1]
    z = normal_quantile(confidence)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


@cache
def percentile_floor(percentile: float) -> int:
    """The fewest samples with which a percentile is not marked: 1 below p90, else the smallest n for which at most one
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


def normal_quantile(confidence: float) -> float:
    """How many standard deviations a two-sided normal interval reaches: 1.96 at 95 %."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def design_effect(residuals: Floats, variance: float | None = None) -> float:
    """How much less values in order of time say than independent ones: 1 when they are independent, never below.

    `residuals` are values less their mean; the variance of their sums over batches is compared with that of as many
    independent ones (Kish 1965; batch means as in Law & Kelton). `variance` is the sum of squares that independence
    would give, where a residual is itself a sum (the tokens of a request). 1 with too few values for batches.
    """
    batches = min(BATCHES, len(residuals) // BATCH_OF)
    independent = float((residuals**2).sum()) if variance is None else variance
    if batches < LEAST_BATCHES or independent <= 0:
        return 1.0
    sums = np.array([part.sum() for part in np.array_split(residuals, batches)])
    return max(1.0, float((sums**2).sum()) * batches / (batches - 1) / independent)
