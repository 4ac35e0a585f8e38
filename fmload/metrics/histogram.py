"""Mergeable histograms of durations: log-linear buckets, exact to 0.4 %."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

_SHIFT = 52 - 7  # 128 buckets an octave: any quantile is within 0.4 % of the true value
Histogram = Counter[int]


def buckets(values_ns: npt.NDArray[np.int64]) -> Histogram:
    """An HDR (log-linear) histogram: bucket number → count. The bucket is the head of the double's bits.

    Histograms of several workers are merged exactly, by adding. Values below 1 ns count as 1 ns.
    """
    if not len(values_ns):
        return Counter()
    of_each = numbers(values_ns)
    lowest = of_each.min()
    counts = np.bincount(of_each - lowest)
    found = np.flatnonzero(counts)
    return Counter(dict(zip((found + lowest).tolist(), counts[found].tolist(), strict=True)))


def numbers(values_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The bucket of each value: a number of 18 bits."""
    return np.maximum(values_ns, 1).astype(np.float64).view(np.int64) >> _SHIFT


def quantile_s(histogram: Mapping[int, int], q: float) -> float | None:
    """The nearest-rank quantile in seconds (middle of its bucket); None of an empty histogram."""
    rank, seen = q * sum(histogram.values()), 0
    for number in sorted(histogram):
        seen += histogram[number]
        if seen >= rank:
            return float(middles_s(np.array([number]))[0])
    return None


def middles_s(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The middles of buckets in seconds: no value is further than 0.4 % from that of its bucket."""
    low, high = ((edge << _SHIFT).view(np.float64) for edge in (numbers, numbers + 1))
    return (low + high) / 2e9
