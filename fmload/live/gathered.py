"""What is counted of requests as they end: the values of their metrics lie side by side until somebody looks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from fmload.live.counts import Counts
from fmload.metrics.histogram import buckets
from fmload.metrics.per_record import Ints


@dataclass(slots=True)
class Gathered:
    """Counts of one group, or of one second, in the making. A histogram for each request would take ten times what
    these lists do."""

    counts: Counts = field(default_factory=Counts)  # without histograms
    _values: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _arrays: defaultdict[str, list[Ints]] = field(default_factory=lambda: defaultdict(list))

    def add(self, metric: str, found: int | Ints) -> None:
        """One value of a metric, or several, in nanoseconds."""
        if isinstance(found, int):
            self._values[metric].append(found)
        else:
            self._arrays[metric].append(found)

    def all(self) -> Counts:
        """The counts with their histograms."""
        for metric in (*self._values, *self._arrays):
            values = np.array(self._values.get(metric, ()), np.int64)
            self.counts.histograms[metric] = buckets(np.concatenate([values, *self._arrays.get(metric, ())]))
        return self.counts
