"""Which component of a mixed load each arrival belongs to, drawn alike by every worker."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

Arrival = TypeVar("Arrival")


def components(parts: Sequence[float], seed: str) -> Iterator[int]:
    """The component of every request, one after the other, for ever: independent draws by their shares."""
    draw = random.Random(f"{seed}/mix")
    sums = list(itertools.accumulate(parts))
    places = range(len(parts))
    while True:
        yield draw.choices(places, cum_weights=sums)[0]


def of_component(arrivals: Iterator[Arrival], parts: Sequence[float], component: int,
                 seed: str) -> Iterator[Arrival | None]:
    """The arrivals of the whole mix, with None in the place of those of other components.

    Every worker draws alike and takes its share of all places, so that together they send the process that was asked
    for, each request once.
    """
    return (arrival if drawn == component else None
            for arrival, drawn in zip(arrivals, components(parts, seed), strict=False))
