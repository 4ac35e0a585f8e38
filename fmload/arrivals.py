"""Arrival processes of an open loop: absolute instants, seeded, and dealt to workers without changing the process.

A process is a function `(rate_per_s, draw, **options)` that yields arrival instants in seconds from the start,
ascending, for ever. It is one function here (or a plugin's) and one line in ARRIVALS.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from fmload.errors import FmloadError
from fmload.registry import Registry

ARRIVALS = Registry("arrival process", {
    "constant": "fmload.arrivals:constant",
    "poisson": "fmload.arrivals:poisson",
    "gamma": "fmload.arrivals:gamma",
})


def constant(rate_per_s: float, draw: random.Random) -> Iterator[float]:
    """Equal gaps: arrival k comes at k ÷ rate (computed, never summed, so that it does not drift)."""
    return (k / rate_per_s for k in itertools.count())


def poisson(rate_per_s: float, draw: random.Random) -> Iterator[float]:
    """Exponential gaps: independent arrivals, index of dispersion 1."""
    return itertools.accumulate(draw.expovariate(rate_per_s) for _ in itertools.repeat(None))


def gamma(rate_per_s: float, draw: random.Random, burstiness: float = 1.0) -> Iterator[float]:
    """Gamma gaps of shape `burstiness` and mean 1 ÷ rate: below 1 burstier than Poisson, above 1 more even.

    The word and its sense are those of vLLM's benchmark; the gaps' squared coefficient of variation is 1 ÷ burstiness.
    """
    if burstiness <= 0:
        raise FmloadError(f"load.arrivals.burstiness: {burstiness} is not above 0")
    scale = 1.0 / (rate_per_s * burstiness)
    return itertools.accumulate(draw.gammavariate(burstiness, scale) for _ in itertools.repeat(None))


def schedule(arrivals: Mapping[str, Any], rate_per_s: float, seed: str) -> Iterator[float]:
    """The whole process, in seconds from the stage's start. `arrivals` is `{"process": name, **options}`."""
    options = dict(arrivals)
    process = ARRIVALS.load(options.pop("process", "constant"))
    try:
        return process(rate_per_s, random.Random(seed), **options)  # type: ignore[no-any-return]
    except TypeError as error:
        raise FmloadError(f"load.arrivals: {error}") from error


def share(instants: Iterator[float], index: int, workers: int) -> Iterator[float]:
    """Every `workers`-th arrival from the `index`-th on: the shares of all workers together are the process itself."""
    return itertools.islice(instants, index, None, workers)
