"""Whether values in order of time are all of one kind: rank tests, drift, start-up transients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fmload.metrics.definitions import Floats

LEAST_SETTLED = 40


@dataclass(frozen=True, slots=True)
class RankTest:
    """A two-sided Mann–Whitney test. `effect` is P(b > a) + ½P(b = a): 0.5 means no difference."""

    p_value: float
    effect: float
    method: str = "Mann–Whitney U (normal approximation, ties corrected)"


def mann_whitney(a: ArrayLike, b: ArrayLike) -> RankTest | None:
    """Whether b tends to be larger or smaller than a. None when either has fewer than eight values."""
    first, second = np.sort(np.asarray(a, dtype=float)), np.sort(np.asarray(b, dtype=float))
    n, m = len(first), len(second)
    if n < 8 or m < 8:
        return None
    u = sum(int(np.searchsorted(first, second, side).sum()) for side in ("left", "right")) / 2
    ties = _ties(np.concatenate([first, second]))
    total = n + m
    variance = n * m / 12 * ((total + 1) - ties / (total * (total - 1)))
    if variance <= 0:
        return RankTest(1.0, 0.5)
    z = max(abs(u - n * m / 2) - 0.5, 0) / math.sqrt(variance)
    return RankTest(math.erfc(z / math.sqrt(2)), u / (n * m))


def _ties(values: Floats) -> float:
    """Σ(t³ − t) over the groups of equal values, as which values that are none count, too; sorts them."""
    values.sort()
    same = np.zeros(len(values) + 1, dtype=bool)
    same[1:-1] = (values[1:] == values[:-1]) | np.isnan(values[:-1])
    edges = np.flatnonzero(same[1:] != same[:-1])
    sizes = (edges[1::2] - edges[::2] + 1).astype(float)
    return float((sizes**3 - sizes).sum())


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
    del instants, values  # of ten million requests each column counts
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
    ordered = values[order]
    del values
    parts = np.array_split(ordered, blocks)
    means = np.array([part.mean() for part in parts])
    errors = [means[cut:].var() / (blocks - cut) for cut in range(blocks // 2)]
    cut = int(np.argmin(errors))
    start = sum(len(part) for part in parts[:cut])
    before, after, began = ordered[:start], ordered[start:], float(instants[order[start]])
    del instants, order
    test = mann_whitney(before, after)
    if test is None or test.p_value >= 0.01 or abs(float(before.mean() / after.mean()) - 1) <= 0.05:
        return 0.0
    return began


def settled(values: Floats) -> bool:
    """Whether values in order of time have come to rest: in their second half, the first part and the last differ by
    no more than 5 % in the median, or by no more than chance (Mann–Whitney, p ≥ 1 %). False below 40 values.

    What began with the first values is then over for as long as it took, whatever it was.
    """
    if len(values) < LEAST_SETTLED:
        return False
    rest = values[len(values) // 2:]
    found = drift(np.arange(len(rest), dtype=float), rest, len(rest) / 2)
    return found is not None and (found.p_value >= 0.01 or abs(found.change) <= 0.05)
