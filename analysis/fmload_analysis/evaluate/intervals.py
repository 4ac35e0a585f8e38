"""Confidence intervals of means over prompts. Answers to one prompt are not independent; prompts are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fmload.statistics.intervals import CONFIDENCE, Interval

RESAMPLES = 2000


def bootstrap(values: Sequence[float]) -> Interval:
    """Percentile bootstrap of the mean, one value a prompt; always the same resamples. One value has no interval."""
    if len(values) < 2:
        return Interval(None, None, "bootstrap over prompts")
    dice = np.random.default_rng(0)
    data = np.asarray(values, dtype=float)
    means = [float(data[dice.integers(len(data), size=len(data))].mean()) for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high), "bootstrap over prompts")
