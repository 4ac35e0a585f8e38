"""Confidence intervals by their names: of percentiles, shares and means, of values that need not be independent.

Latencies of neighbouring requests are alike: they shared a batch, or waited in one queue. `design_effect` measures how
much; n alike values then say as much as n ÷ design effect independent ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
BATCHES = 20
LEAST_BATCHES = 8
BATCH_OF = 4  # requests in a batch, at least


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval and the name of its method. An end is None where the samples do not reach."""

    low: float | None
    high: float | None
    method: str
    confidence: float = CONFIDENCE


def binomial_ranks(n: int, p: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Ranks l < u with P(B < l) ≤ α/2 and P(B ≥ u) ≤ α/2 for B ~ Binomial(n, p): between the l-th and the u-th of n
    ascending independent values lies their p-quantile, whatever their distribution. 0 and n + 1 are beyond them."""
    alpha = 1 - confidence
    spread = 8 * math.sqrt(n * p * (1 - p)) + 8
    first = max(0, math.floor(n * p - spread))
    last = min(n, math.ceil(n * p + spread))
    cdf = np.cumsum(np.exp(_log_binomial(np.arange(first, last + 1), n, p)))
    low = first + int(np.searchsorted(cdf, alpha / 2, side="right"))
    high = first + int(np.searchsorted(cdf, 1 - alpha / 2, side="left")) + 1
    return low, high


def _log_binomial(k: NDArray[np.int64], n: int, p: float) -> Floats:
    log_factorial = np.vectorize(math.lgamma, otypes=[float])
    ways = math.lgamma(n + 1) - log_factorial(k + 1) - log_factorial(n - k + 1)
    return ways + k * math.log(p) + (n - k) * math.log1p(-p)  # type: ignore[no-any-return]


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
