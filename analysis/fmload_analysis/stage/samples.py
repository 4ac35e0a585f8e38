"""Many weighted samples and their percentiles, in bounded memory."""

from __future__ import annotations

import math

import numpy as np

from fmload.metrics.definitions import Floats, Ints
from fmload_analysis.stage.stats import PERCENTILES, rank_of


class Samples:
    """Weighted samples and their nearest-rank percentiles, in bounded memory.

    Exact up to `limit` additions; beyond it they fold into bins of 2⁻¹² relative width, from 1 ns to a day, and a
    percentile is then the middle of its bin (error at most 0.013 %). The mean stays exact. Values are seconds, ≥ 0.
    """

    _DROPPED = 40  # of a float64's 52 mantissa bits; 12 remain
    _FIRST = int(np.float64(1e-9).view(np.int64)) >> _DROPPED
    _BINS = (int(np.float64(86_400.0).view(np.int64)) >> _DROPPED) - _FIRST + 1

    def __init__(self, limit: int = 4_000_000) -> None:
        self._limit = limit
        self._parts: list[tuple[Floats, Floats | None]] = []  # None: each value once
        self._held = 0
        self._bins: Floats | None = None
        self.n = 0.0
        self.total = 0.0
        self.low = math.inf
        self.high = -math.inf

    def add(self, values: Floats, weights: Ints | Floats | None = None) -> None:
        """Take in more values, each counted `weights` times (once when None)."""
        if not len(values):
            return
        counts = None if weights is None or (weights == 1).all() else weights.astype(np.float64)
        self._parts.append((values, counts))
        self._held += len(values)
        self.n += len(values) if counts is None else float(counts.sum())
        self.total += float(values.sum() if counts is None else (values * counts).sum())
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        if self._held > self._limit or self._bins is not None:
            self._fold()

    @property
    def exact(self) -> bool:
        """False once samples have been folded into bins."""
        return self._bins is None

    @property
    def mean(self) -> float | None:
        """The weighted mean; None when empty."""
        return self.total / self.n if self.n else None

    def _fold(self) -> None:
        bins = np.zeros(self._BINS) if self._bins is None else self._bins
        for values, counts in self._parts:
            keys = np.clip((values.view(np.int64) >> self._DROPPED) - self._FIRST, 0, self._BINS - 1)
            bins += np.bincount(keys, weights=counts, minlength=self._BINS)
        self._bins, self._parts, self._held = bins, [], 0

    def _ordered(self) -> tuple[Floats, Floats]:
        """Ascending values and the weight up to and with each."""
        if self._bins is not None:
            self._fold()
            used = np.flatnonzero(self._bins)
            middles = ((used + self._FIRST << self._DROPPED) + (1 << self._DROPPED - 1)).view(np.float64)
            return np.clip(middles, self.low, self.high), np.cumsum(self._bins[used])
        values = np.concatenate([part for part, _ in self._parts])
        if all(counts is None for _, counts in self._parts):
            values.sort()
            return values, np.arange(1.0, len(values) + 1)
        counts = np.concatenate([np.ones(len(part)) if count is None else count for part, count in self._parts])
        order = np.argsort(values, kind="stable")
        return values[order], np.cumsum(counts[order])

    def percentiles(self, wanted: tuple[float, ...] = PERCENTILES) -> dict[float, float | None]:
        """Nearest-rank percentiles; None when empty."""
        if not self.n:
            return dict.fromkeys(wanted)
        values, reached = self._ordered()
        return {p: float(values[np.searchsorted(reached, rank_of(p, self.n) - 1e-9)]) for p in wanted}

    def at_rank(self, rank: float) -> float | None:
        """The value of a 1-based rank in ascending order, rounded up; None below the first and above the last."""
        place = math.ceil(rank - 1e-9)
        if not 1 <= place <= self.n:
            return None
        values, reached = self._ordered()
        return float(values[np.searchsorted(reached, place - 1e-9)])

    def with_others(self, others: Samples) -> Samples:
        """Both sets of samples together."""
        both = Samples(self._limit)
        both._parts = self._parts + others._parts
        both._held = self._held + others._held
        known = [bins for bins in (self._bins, others._bins) if bins is not None]
        both._bins = np.sum(known, axis=0) if known else None
        both.n, both.total = self.n + others.n, self.total + others.total
        both.low, both.high = min(self.low, others.low), max(self.high, others.high)
        return both
