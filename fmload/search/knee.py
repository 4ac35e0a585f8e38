"""The knee: the load with the most power, throughput ÷ latency (Kleinrock, ICC 1979); and saturation. Pure.

Below the knee throughput grows nearly as the load does; beyond it mostly latency grows. Saturation is the highest
throughput, from which more load gains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from fmload.search.bracket import Bracket, Range

NEAR = 1.2  # the knee is flat: neighbours within 20 % say what there is to say
FALLS = 2  # so many doublings past the knee show it


@dataclass(frozen=True, slots=True)
class Point:
    """A load as it was measured: requests a second, and mean E2E latency in seconds."""

    load: float
    requests_per_s: float
    latency_s: float

    @property
    def power(self) -> float:
        """Throughput ÷ latency; 0 where nothing was completed."""
        return self.requests_per_s / self.latency_s if self.latency_s > 0 else 0.0


def knee_of(points: Sequence[Point]) -> tuple[Point, Bracket]:
    """The point with the most power, and its neighbours, between which the knee lies."""
    ordered = sorted(points, key=lambda point: point.load)
    place = max(range(len(ordered)), key=lambda index: ordered[index].power)
    return ordered[place], Bracket(ordered[place - 1].load if place else None,
                                   ordered[place + 1].load if place + 1 < len(ordered) else None)


def next_load(span: Range, points: Sequence[Point]) -> float | None:
    """The load to measure next; None when the knee and saturation are known."""
    if not points:
        return span.from_
    highest = max(points, key=lambda point: point.load)
    if highest.load < span.to and not _past(span, points):
        return min(2 * highest.load, span.to)
    knee, around = knee_of(points)
    gaps = [(wide, load) for other in (around.low, around.high) if other is not None
            for wide, load in [(max(other, knee.load) / min(other, knee.load), _between(span, knee.load, other))]
            if wide > NEAR and load is not None]
    return max(gaps)[1] if gaps else None


def _past(span: Range, points: Sequence[Point]) -> bool:
    """Power fell twice in a row from one load to the next, and throughput has stopped to grow."""
    ordered = sorted(points, key=lambda point: point.load)
    if len(ordered) <= FALLS:
        return False
    last = ordered[-FALLS - 1:]
    falling = all(after.power < before.power for before, after in pairwise(last))
    return falling and last[-1].requests_per_s <= (1 + span.within) * last[-2].requests_per_s


def _between(span: Range, one: float, other: float) -> float | None:
    middle = math.sqrt(one * other)
    if span.over == "rate":
        return float(f"{middle:.4g}")
    low, high = sorted((one, other))
    return float(min(max(round(middle), low + 1), high - 1)) if high - low > 1 else None
