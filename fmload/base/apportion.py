"""Weighted mixes: how users are spread over the components of a mix, and to which component a request belongs. Pure."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from typing import TypeVar

Arrival = TypeVar("Arrival")


def shares(weights: Sequence[float]) -> list[float]:
    """Weights as shares of their sum."""
    whole = math.fsum(weights)
    return [weight / whole for weight in weights]


def spread(users: int, parts: Sequence[float]) -> list[int]:
    """Whole users by shares, which sum up to `users`: the largest remainders are rounded up (Hare–Niemeyer)."""
    exact = [users * part for part in parts]
    whole = [math.floor(round(each, 9)) for each in exact]
    by_remainder = sorted(range(len(parts)), key=lambda place: (whole[place] - exact[place], place))
    for place in by_remainder[:users - sum(whole)]:
        whole[place] += 1
    return whole


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
