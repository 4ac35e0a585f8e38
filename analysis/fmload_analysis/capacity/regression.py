"""Least squares with coefficients that cannot be negative, for a handful of columns."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
_FAR = 5.0  # a residual so many median ones away is none of the engine's
_ROUNDS = 3


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
