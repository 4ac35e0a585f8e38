"""Gaps of requests whose chunks hold one token each and are censored nowhere, as whole nanoseconds.

Most runs have no others. ITL and ICL are the same of them, and what is asked of them is asked of one array.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from fmload.metrics.definitions import NS, Bools, Columns, Ints
from fmload_analysis.stage.windows import sums


class PlainGaps:
    """The gaps of some requests, taken once however often they are asked for."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._known = columns.chunk_tokens_known & columns.single
        self._after_ns = np.diff(columns.chunk_ns)  # of each chunk to the next one, be it of another request
        last = columns.chunk_offsets[1:] - 1  # of a request without a chunk that of the one before, or none
        self._between = last[(last >= 0) & (last < len(self._after_ns))]

    def hold(self, rows: Bools) -> bool:
        """Whether all gaps of these requests are here: of others ITL is not known, or nothing is."""
        return bool(self._known[rows].all())

    def of(self, rows: Bools) -> Ints:
        """Those of these requests, in order of arrival."""
        kept = np.ones(len(self._after_ns), dtype=bool)
        if not rows.all():
            kept = np.repeat(rows, self._columns.chunk_counts)[:-1]
        kept[self._between] = False
        return self._after_ns[kept]

    def above(self, limit_s: float) -> Ints:
        """Of each request, how many of its gaps are longer."""
        above = np.zeros(len(self._columns.chunk_ns), dtype=np.int8)
        np.greater(self._after_ns, longest_ns(limit_s), out=above[:-1].view(bool))
        above[self._between] = 0
        return sums(above, self._columns)


def longest_ns(limit_s: float) -> int:
    """The longest time of whole nanoseconds that is, in seconds, not above a limit; -1 where the limit is negative."""
    return bisect_right(range(1 << 62), limit_s, key=lambda time_ns: time_ns / NS) - 1


def plain_gaps(columns: Columns, ones: bool) -> PlainGaps | None:
    """None where a chunk is censored, or they do not all hold one token (`ones`)."""
    return PlainGaps(columns) if ones and not columns.chunk_censored.any() else None


def one_each(columns: Columns) -> bool:
    """Whether each chunk is told to hold one token."""
    return bool((columns.chunk_tokens == 1).all())
