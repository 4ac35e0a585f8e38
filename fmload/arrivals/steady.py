"""Processes of a rate that stays the same: constant, Poisson and gamma."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from pydantic import Field

from fmload.arrivals import takes
from fmload.config import limits
from fmload.config.model import NoOptions, Strict


class Gamma(Strict):
    """Keys of `process: gamma`."""

    burstiness: float = Field(
        1.0, ge=0.001, le=limits.FACTOR, description="below 1 burstier than Poisson, above more even")


def constant(rate_per_s: float, lead_s: float, draw: random.Random, options: NoOptions) -> Iterator[float]:
    """Equal gaps: arrival k comes at k ÷ rate (computed, never summed, so that it does not drift)."""
    return (k / rate_per_s for k in itertools.count())


def poisson(rate_per_s: float, lead_s: float, draw: random.Random, options: NoOptions) -> Iterator[float]:
    """Exponential gaps: independent arrivals, index of dispersion 1."""
    return itertools.accumulate(draw.expovariate(rate_per_s) for _ in itertools.repeat(None))


@takes(Gamma)
def gamma(rate_per_s: float, lead_s: float, draw: random.Random, options: Gamma) -> Iterator[float]:
    """Gamma gaps of shape `burstiness` and mean 1 ÷ rate: below 1 burstier than Poisson, above 1 more even.

    The word and its sense are those of vLLM's benchmark; the gaps' squared coefficient of variation is 1 ÷ burstiness.
    """
    scale = 1.0 / (rate_per_s * options.burstiness)
    return itertools.accumulate(draw.gammavariate(options.burstiness, scale) for _ in itertools.repeat(None))
