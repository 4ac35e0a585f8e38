"""Least squares with coefficients that cannot be negative, for a handful of columns."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
_FAR = 5.0  # a residual so many median ones away is none of the engine's
_ROUNDS = 3
_QUARTILES = 1.349  # standard deviations between the quartiles of a normal distribution


def non_negative(columns: Floats, values: Floats) -> Floats:
    """The coefficients, each at least 0, with the least squared error: the best of all subsets of the columns, which
    is exact. Columns without a value other than 0 get 0."""
    best, least = np.zeros(columns.shape[1]), float((values ** 2).sum())
    used = [place for place in range(columns.shape[1]) if columns[:, place].any()]
    for size in range(1, len(used) + 1):
        for some in combinations(used, size):
            found = np.linalg.lstsq(columns[:, some], values, rcond=None)[0]
            error = float(((columns[:, some] @ found - values) ** 2).sum())
            if (found >= 0).all() and error < least:
                best, least = np.zeros(columns.shape[1]), error
                best[list(some)] = found
    return best


def robust(columns: Floats, values: Floats) -> Floats:
    """`non_negative` of relative errors, without what lies far off: stalls of the network and of the client.

    Errors are relative to what is expected, not to what was seen: a chunk that comes late makes the next gap as much
    too short, and the short one must not weigh more.
    """
    found, kept = non_negative(columns, values), np.ones(len(values), dtype=bool)
    for _ in range(_ROUNDS):
        expected = np.maximum(columns @ found, 1e-3 * float(np.median(values)))
        off = np.abs(values / expected - 1)
        kept = off <= _FAR * max(float(np.median(off)), 1e-6)
        scale = 1 / expected[kept]
        found = non_negative(columns[kept] * scale[:, None], values[kept] * scale)
    return found


def variation(seconds: Floats, following: Floats, expected: Floats) -> float:
    """The standard deviation of the logarithm of a step's time, of the gaps between chunks, the gaps that follow them
    (NaN: not known), and what is expected of each.

    A chunk that is stamped late makes its gap longer and the next one as much shorter, a step that lasts long does
    not: of two gaps together the variance is half of one's where steps vary, less where stamps do. By quartiles, so
    that stalls, and the prompts beside a few of the gaps, have no part in it.
    """
    known = (following > 0) & (seconds > 0) & (expected > 0)
    if known.sum() < 2:
        return 0.0
    one = _spread(np.log(seconds[known] / expected[known])) ** 2
    two = _spread(np.log((seconds[known] + following[known]) / expected[known])) ** 2
    return float(np.sqrt(np.clip(4 * two - one, 0.0, one)))


def _spread(values: Floats) -> float:
    low, high = np.percentile(values, [25, 75])
    return float(high - low) / _QUARTILES
