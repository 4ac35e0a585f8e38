"""Lengths in tokens, drawn from a `Distribution` of the run file."""

from __future__ import annotations

import math
import random

from fmload.config.lengths import Distribution

_TRIES = 1000


def draw_length(distribution: Distribution, draw: random.Random) -> int:
    """One length, at least 1 and within `min` and `max`; a draw outside is drawn again, so the tails are cut off.

    lognormal: `mean` and `stddev` are those of the lengths themselves, not of their logarithms.
    """
    least, most = distribution.min or 1, distribution.max or math.inf
    for _ in range(_TRIES):
        length = round(_draw(distribution, draw))
        if least <= length <= most:
            return length
    return int(min(max(length, least), most))


def _draw(distribution: Distribution, draw: random.Random) -> float:
    mean, stddev = distribution.mean or 0.0, distribution.stddev
    match distribution.drawn:
        case "uniform":
            return draw.randint(distribution.min or 1, distribution.max or 1)
        case "normal":
            return draw.gauss(mean, stddev)
        case "lognormal":
            spread = math.log1p((stddev / mean) ** 2)
            return draw.lognormvariate(math.log(mean) - spread / 2, math.sqrt(spread))
        case "fixed":
            return mean
