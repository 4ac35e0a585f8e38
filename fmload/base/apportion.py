"""Weighted mixes: how users are spread over the components of a mix, and to which component a request belongs. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


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
