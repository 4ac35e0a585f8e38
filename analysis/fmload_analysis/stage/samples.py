"""Many weighted samples and their percentiles, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from fmload.base.errors import FmloadError
from fmload.metrics.definitions import Bools, Floats, Ints
from fmload_analysis.stage.stats import PERCENTILES, rank_of

MOST_KEPT = 4_000_000
Counted = tuple[Floats, Floats | None]  # values, and how often each counts (None: once)


class Samples:
    """Weighted samples and their nearest-rank percentiles, in bounded memory.

    Beyond `limit` additions (MOST_KEPT) they fold into bins of 2⁻¹² relative width, from 1 ns to a day. In which bin a
    rank lies is known; its value is the middle of the bin (off by 0.013 % at most) until the samples were added once
    more: then those of the bins that were asked for (`seek`) are counted by their value, and ranks in them are exact.
    The mean is exact always. Values are seconds, ≥ 0.
    """

    _DROPPED = 40  # of a float64's 52 mantissa bits; 12 remain
    _FIRST = int(np.float64(1e-9).view(np.int64)) >> _DROPPED
    BINS = (int(np.float64(86_400.0).view(np.int64)) >> _DROPPED) - _FIRST + 1

    def __init__(self, limit: int | None = None) -> None:
        self._limit = MOST_KEPT if limit is None else limit
        self._parts: list[Counted] = []
        self._held = 0
        self._bins: Floats | None = None
        self._sought: Bools | None = None
        self._found = Distinct()
        self.n = 0.0
        self.total = 0.0
        self.low = math.inf
        self.high = -math.inf

    def add(self, values: Floats, weights: Ints | Floats | None = None) -> None:
        """Take in more values, each counted `weights` times (once when None); after `seek`, those that were there
        once more."""
        if not len(values):
            return
        counts = None if weights is None or (weights == 1).all() else weights.astype(np.float64)
        if self._sought is not None:
            if self._bins is not None:
                self._find(values, counts, *self._keys(values))
            return
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

    def _keys(self, values: Floats) -> tuple[int, Ints]:
        """The lowest bin in which values lie, and how far from it each one lies."""
        keys = values.view(np.int64) >> self._DROPPED
        ends = np.array([values.min(), values.max()]).view(np.int64) >> self._DROPPED
        lowest, highest = (ends - self._FIRST).tolist()
        first = min(max(lowest, 0), self.BINS - 1)
        keys -= self._FIRST + first
        if lowest < 0 or highest >= self.BINS:
            np.clip(keys, 0, self.BINS - 1 - first, out=keys)
        return first, keys

    def _fold(self) -> None:
        bins = np.zeros(self.BINS) if self._bins is None else self._bins
        for values, counts in self._parts:
            first, keys = self._keys(values)
            if self._sought is not None:
                self._find(values, counts, first, keys)
            counted = np.bincount(keys, weights=counts)
            bins[first:first + len(counted)] += counted
        self._bins, self._parts, self._held = bins, [], 0

    def _find(self, values: Floats, counts: Floats | None, first: int, keys: Ints) -> None:
        assert self._sought is not None
        here = self._sought[first:].take(keys)
        self._found.add(values[here], None if counts is None else counts[here])

    def bins_of(self, percentiles: Iterable[float], ranks: Iterable[float | None] = ()) -> Ints:
        """The bins in which these lie; none of samples that are exact, or empty."""
        if self._bins is None or not self.n:
            return np.array([], dtype=np.int64)
        self._fold()
        wanted = [*(rank_of(p, self.n) for p in percentiles), *(math.ceil(r - 1e-9) for r in ranks if r is not None)]
        reached = np.cumsum(self._bins)
        return np.searchsorted(reached, np.array([rank for rank in wanted if 1 <= rank <= self.n]) - 1e-9)

    def seek(self, bins: Ints) -> None:
        """From now on nothing more is taken in: what is added is what was there already, once more in all, of which the
        values in these bins are counted one by one."""
        self._sought = np.zeros(self.BINS, dtype=bool)
        self._sought[bins] = True

    def _ordered(self) -> tuple[Floats, Floats]:
        """Ascending values and the weight up to and with each."""
        if self._bins is not None:
            return self._ordered_bins()
        values = np.concatenate([part for part, _ in self._parts])
        if all(counts is None for _, counts in self._parts):
            values.sort()
            return values, np.arange(1.0, len(values) + 1)
        counts = np.concatenate([np.ones(len(part)) if count is None else count for part, count in self._parts])
        order = np.argsort(values, kind="stable")
        return values[order], np.cumsum(counts[order])

    def _ordered_bins(self) -> tuple[Floats, Floats]:
        self._fold()
        assert self._bins is not None
        used = np.flatnonzero(self._bins)
        found, often = self._found.counted() if self._sought is not None else (np.array([]), np.array([]))
        if self._sought is not None:
            if often.sum() != self._bins[self._sought].sum():
                raise FmloadError("the records changed while they were read",
                                  hint="read them again once the run is over")
            used = used[~self._sought[used]]
        middles = ((used + self._FIRST << self._DROPPED) + (1 << self._DROPPED - 1)).view(np.float64)
        values = np.concatenate([np.clip(middles, self.low, self.high), found])
        order = np.argsort(values, kind="stable")
        return values[order], np.cumsum(np.concatenate([self._bins[used], often])[order])

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
        """Both sets of samples together. Where they were sought in, it was in the same bins."""
        both = Samples(self._limit)
        both._parts = self._parts + others._parts
        both._held = self._held + others._held
        known = [bins for bins in (self._bins, others._bins) if bins is not None]
        both._bins = np.sum(known, axis=0) if known else None
        both._sought = self._sought if known else None
        both._found = self._found.with_others(others._found)
        both.n, both.total = self.n + others.n, self.total + others.total
        both.low, both.high = min(self.low, others.low), max(self.high, others.high)
        return both


class Distinct:
    """How often each value came. Holds as many as differ: of whole nanoseconds in a narrow bin they are few."""

    MOST_WAITING = 1_000_000

    def __init__(self) -> None:
        self._parts: list[Counted] = []
        self._waiting = 0

    def add(self, values: Floats, counts: Floats | None) -> None:
        """More of them."""
        if len(values):
            self._parts.append((values, counts))
            self._waiting += len(values)
            if self._waiting > self.MOST_WAITING:
                self.counted()

    def counted(self) -> tuple[Floats, Floats]:
        """The values in ascending order, and how often each came."""
        if not self._parts:
            return np.array([]), np.array([])
        if len(self._parts) > 1 or self._parts[0][1] is None:
            values = np.concatenate([part for part, _ in self._parts])
            counts = np.concatenate([np.ones(len(part)) if count is None else count for part, count in self._parts])
            distinct, places = np.unique(values, return_inverse=True)
            self._parts = [(distinct, np.asarray(np.bincount(places, weights=counts), dtype=np.float64))]
        self._waiting = 0
        values, found = self._parts[0]
        return values, np.ones(len(values)) if found is None else found

    def with_others(self, others: Distinct) -> Distinct:
        """Both together."""
        both = Distinct()
        both._parts = [*self._parts, *others._parts]
        return both
