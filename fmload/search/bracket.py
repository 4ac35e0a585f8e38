"""The highest load that meets: doubling until one does not, then halving the bracket on the logarithmic scale. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Range(Protocol):
    """Where to search, as a run file's `find` says: from, to, and how near the answer is to be."""

    @property
    def over(self) -> str: ...

    @property
    def from_(self) -> float: ...

    @property
    def to(self) -> float: ...

    @property
    def within(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Tried:
    """A load that was tried. `met` is True only where it was shown to meet; an unclear one is taken for one that
    does not."""

    load: float
    met: bool


@dataclass(frozen=True, slots=True)
class Bracket:
    """The answer lies between them: the highest load that met and the lowest that did not. None: none yet."""

    low: float | None = None
    high: float | None = None


def bracket_of(tried: Iterable[Tried]) -> Bracket:
    """What the tried loads say together. Where they contradict each other, the lowest that did not meet counts: a
    load above it is not claimed."""
    known = list(tried)
    high = min((one.load for one in known if not one.met), default=None)
    low = max((one.load for one in known if one.met and (high is None or one.load < high)), default=None)
    return Bracket(low, high)


def next_load(span: Range, bracket: Bracket) -> float | None:
    """The load to try next; None when the search has ended."""
    if bracket.high is None:
        return _doubled(span, bracket.low)
    if bracket.low is None or _narrow(span, bracket.low, bracket.high):
        return None
    middle = math.sqrt(bracket.low * bracket.high)
    if span.over == "concurrency":
        return float(min(max(round(middle), bracket.low + 1), bracket.high - 1))
    return float(f"{middle:.4g}")


def _doubled(span: Range, low: float | None) -> float | None:
    if low is None:
        return span.from_
    return None if low >= span.to else min(2 * low, span.to)


def _narrow(span: Range, low: float, high: float) -> bool:
    return high / low <= 1 + span.within or (span.over == "concurrency" and high - low <= 1)


def at_most(span: Range, bracket: Bracket) -> int:
    """The most stages that the search can still take from here."""
    count, low, high = 0, bracket.low, bracket.high
    while high is None and (load := _doubled(span, low)) is not None:
        count, low = count + 1, load
    if high is None and bracket.low != low:  # the last doubling may be the first that does not meet: widest bracket
        low, high = (low or span.from_) / 2, low
    while low is not None and high is not None and (load := next_load(span, Bracket(low, high))) is not None:
        low, count = (load, count + 1) if high / load >= load / low else (low, count + 1)
        high = high if low == load else load
    return count
