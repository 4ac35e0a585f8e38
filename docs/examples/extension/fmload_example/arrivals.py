"""An arrival process: two requests at a time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from pydantic import Field

from fmload.arrivals import takes
from fmload.config.model import Strict


class Pairs(Strict):
    """Keys of `process: pairs`."""

    apart_s: float = Field(0.0, ge=0, description="seconds between the two")


@takes(Pairs)
def pairs(rate_per_s: float, lead_s: float, draw: random.Random, options: Pairs) -> Iterator[float]:
    """Every 2 ÷ rate seconds two arrivals, `apart_s` after one another: instants ascend and are never summed up."""
    gap_s = 2 / rate_per_s
    return (k * gap_s + late for k in itertools.count() for late in (0.0, min(options.apart_s, gap_s)))
