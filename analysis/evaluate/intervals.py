"""Confidence intervals of shares and means over prompts. Answers to one prompt are not independent; prompts are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from analysis.stats import CONFIDENCE, Interval

Z = 1.959964  # the 97.5 % quantile of the normal distribution
RESAMPLES = 2000


def wilson(share: float, n: int) -> Interval:
    """Wilson's score interval of a share of `n` prompts (Wilson 1927). `n`: at least 1."""
    center = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    error = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    low, high = center - error if share > 0 else 0.0, center + error if share < 1 else 1.0  # exact, but for rounding
    return Interval(low, high, "Wilson score")


def bootstrap(values: Sequence[float]) -> Interval:
    """Percentile bootstrap of the mean, one value a prompt; always the same resamples. One value has no interval."""
    if len(values) < 2:
        return Interval(None, None, "bootstrap over prompts")
    dice = np.random.default_rng(0)
    data = np.asarray(values, dtype=float)
    means = [float(data[dice.integers(len(data), size=len(data))].mean()) for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high), "bootstrap over prompts")
