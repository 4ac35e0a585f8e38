"""Processes whose rate changes: a ramp, steps, and a day's ups and downs.

A steady process of one arrival a second is put through the inverse of the integrated rate Λ, which gives arrivals of
just that rate (the time-rescaling theorem: Brown, Barbieri, Ventura, Kass & Frank, Neural Computation 14, 2002). Put
back through Λ, the gaps are those of the base process again. So a schedule is exact and absolute, at no more cost than
one draw an arrival.

A profile begins when the window opens; until then (ramp and warm-up) its first rate holds.
"""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from fmload.arrivals import steady, takes
from fmload.config import limits
from fmload.config.model import NoOptions, Rule, Strict
from fmload.config.values import Seconds

Inverse = Callable[[float], float]


class Profile(Strict):
    """Keys of every profile."""

    base: Literal["poisson", "constant", "gamma"] = Field("poisson", description="how arrivals spread around the rate")
    burstiness: float = Field(1.0, ge=0.001, le=limits.FACTOR, description="of the gaps, with base: gamma")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if "burstiness" in given and given["burstiness"] != 1.0 and given.get("base") != "gamma":
            yield "burstiness", "goes with base: gamma"


class Ramp(Profile):
    """Keys of `process: ramp`."""

    from_: float = Field(
        0.0, ge=0, le=limits.FACTOR, alias="from", description="first rate, as a share of `rate`; above 1 ramps down")
    over_s: Seconds = Field(
        alias="over", ge=limits.SHORTEST_S, description="from the first rate to `rate`, which then holds")


class Step(Profile):
    """Keys of `process: step`."""

    levels: list[Annotated[float, Field(le=limits.FACTOR)]] = Field(
        min_length=1, max_length=limits.LEVELS, description="rates one after the other, as shares of `rate`")
    every_s: Seconds = Field(alias="every", ge=limits.SHORTEST_S, description="length of each level")
    repeat: bool = Field(False, description="begin again after the last level, which holds otherwise")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        yield from super().rules(given)
        levels = [level for level in given.get("levels") or () if isinstance(level, int | float)]
        if any(level < 0 for level in levels):
            yield "levels", "must all be 0 or more"
        elif levels and not (any(levels) if given.get("repeat") is True else levels[-1]):
            yield "levels", "ends in 0, so that nothing would ever come after it; end above 0, or set repeat: true"


class Diurnal(Profile):
    """Keys of `process: diurnal`."""

    period_s: Seconds = Field(alias="period", ge=limits.SHORTEST_S, description="from one low to the next")
    low: float = Field(0.2, ge=0, le=1, description="lowest rate, as a share of `rate`, which is the highest")


@takes(Ramp, steady=False)
def ramp(rate_per_s: float, lead_s: float, draw: random.Random, options: Ramp) -> Iterator[float]:
    """From a share of the rate to the rate, evenly; the rate then holds. The inverse is the root of a quadratic."""
    first, over_s = options.from_ * rate_per_s, options.over_s
    slope, whole = (rate_per_s - first) / over_s, (first + rate_per_s) / 2 * over_s

    def inverse(count: float) -> float:
        if count >= whole:
            return over_s + (count - whole) / rate_per_s
        # Of the two forms of the root the one that loses no digits where the slope is small.
        return 2 * count / (first + math.sqrt(max(first * first + 2 * slope * count, 0.0))) if count else 0.0

    return _arrivals(inverse, first, lead_s, draw, options)


@takes(Step, steady=False)
def step(rate_per_s: float, lead_s: float, draw: random.Random, options: Step) -> Iterator[float]:
    """Levels one after the other. Λ is made of straight lines, and so is its inverse."""
    rates = [level * rate_per_s for level in options.levels]
    sums = [0.0, *itertools.accumulate(rate * options.every_s for rate in rates)]

    def inverse(count: float) -> float:
        rounds = 0.0
        if options.repeat:
            rounds, count = divmod(count, sums[-1])
        level = bisect.bisect_right(sums, count, 1, len(rates)) - 1  # one whose rate is not 0
        return (rounds * len(rates) + level) * options.every_s + (count - sums[level]) / rates[level]

    return _arrivals(inverse, rates[0], lead_s, draw, options)


@takes(Diurnal, steady=False)
def diurnal(rate_per_s: float, lead_s: float, draw: random.Random, options: Diurnal) -> Iterator[float]:
    """A cosine between `low` × rate and the rate, from its lowest point on. Λ has no closed inverse: whole periods
    are taken off, and the rest is found by Newton's steps kept inside a bracket, to a billionth of the period."""
    period_s, low = options.period_s, options.low
    mean, swing = (1 + low) / 2 * rate_per_s, (1 - low) / 2 * rate_per_s
    turn = 2 * math.pi / period_s

    def integrated(t: float) -> float:
        return mean * t - swing / turn * math.sin(turn * t)

    def inverse(count: float) -> float:
        periods, rest = divmod(count, mean * period_s)
        return periods * period_s + _root(integrated, lambda t: mean - swing * math.cos(turn * t), rest, period_s)

    return _arrivals(inverse, low * rate_per_s, lead_s, draw, options)


def _root(value: Callable[[float], float], slope: Callable[[float], float], wanted: float, high: float) -> float:
    """Where the ascending function `value` is `wanted`, between 0 and `high`."""
    low, tolerance = 0.0, high * 1e-9
    guess = high / 2
    while high - low > tolerance:
        off = value(guess) - wanted
        low, high = (guess, high) if off < 0 else (low, guess)
        rate = slope(guess)
        step_to = guess - off / rate if rate > 0 else low
        if abs(step_to - guess) < tolerance / 2 and low <= step_to <= high:
            return step_to
        guess = step_to if low < step_to < high else (low + high) / 2
    return guess


def _arrivals(inverse: Inverse, first_rate: float, lead_s: float, draw: random.Random,
              options: Profile) -> Iterator[float]:
    """The base process at one a second, through the inverse of Λ. `first_rate` holds for `lead_s` before."""
    before = first_rate * lead_s
    for count in _units(draw, options):
        yield count / first_rate if count < before else lead_s + inverse(count - before)


def _units(draw: random.Random, options: Profile) -> Iterator[float]:
    if options.base == "gamma":
        return steady.gamma(1.0, 0.0, draw, steady.Gamma(burstiness=options.burstiness))
    return (steady.poisson if options.base == "poisson" else steady.constant)(1.0, 0.0, draw, NoOptions())
