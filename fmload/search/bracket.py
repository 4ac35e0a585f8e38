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

    @property
    def near(self) -> float | None:
        """Where the answer is thought to be: the search begins there."""
        ...


@dataclass(frozen=True, slots=True)
class Tried:
    """A load that was tried. `met` is True only where it was shown to meet; `unclear`: it was shown neither to meet
    nor to miss."""

    load: float
    met: bool
    unclear: bool = False


@dataclass(frozen=True, slots=True)
class Bracket:
    """The answer lies between them: the highest load that met and the lowest that did not. None: none yet. `unclear`:
    the highest load that could not be told while none met: too few requests, it may be, and higher loads have more."""

    low: float | None = None
    high: float | None = None
    unclear: float | None = None


def bracket_of(tried: Iterable[Tried]) -> Bracket:
    """What the tried loads say together. Where they contradict each other, the lowest that did not meet counts: a
    load above it is not claimed. An unclear load is taken for one that does not meet, unless it lies below all that
    were clear and one of these met, which stands for it, too; or while none was clear."""
    known = list(tried)
    clear = min((one.load for one in known if not one.unclear), default=math.inf)
    missed_alone = any(not one.met and not one.unclear for one in known) and not any(one.met for one in known)
    early = [] if missed_alone else [one.load for one in known if one.unclear and one.load < clear]
    known = [one for one in known if one.load not in early]
    high = min((one.load for one in known if not one.met), default=None)
    low = max((one.load for one in known if one.met and (high is None or one.load < high)), default=None)
    return Bracket(low, high, max(early, default=None) if low is None and high is None else None)


def next_load(span: Range, bracket: Bracket) -> float | None:
    """The load to try next; None when the search has ended."""
    if span.near is not None and (bracket.low is None or bracket.high is None):
        return _around(span, span.near, bracket)
    if bracket.high is None:
        return _doubled(span, bracket.low if bracket.unclear is None else bracket.unclear)
    if bracket.low is None or _narrow(span, bracket.low, bracket.high):
        return None
    middle = math.sqrt(bracket.low * bracket.high)
    if span.over == "concurrency":
        return float(min(max(round(middle), bracket.low + 1), bracket.high - 1))
    return float(f"{middle:.4g}")


def _around(span: Range, near: float, bracket: Bracket) -> float | None:
    """From where the answer is thought to be in steps that grow, up while loads meet and down while they do not."""
    near, step = min(max(near, span.from_), span.to), 1 + 3 * span.within
    low = bracket.low if bracket.unclear is None else bracket.unclear
    if bracket.high is not None:
        return None if bracket.high <= span.from_ else _rounded(span, max(
            near / max((near / bracket.high) ** 2, step), span.from_), bracket.high, -1)
    if low is None:
        return _rounded(span, near, 0.0, 1)
    return None if low >= span.to else _rounded(span, min(near * max((low / near) ** 2, step), span.to), low, 1)


def _rounded(span: Range, load: float, last: float, sign: int) -> float:
    """As the range counts loads, and at least one beyond the last."""
    if span.over == "concurrency":
        return float(max(round(load), last + 1) if sign > 0 else min(round(load), last - 1))
    return float(f"{load:.4g}")


def _doubled(span: Range, low: float | None) -> float | None:
    if low is None:
        return span.from_
    return None if low >= span.to else min(2 * low, span.to)


def _narrow(span: Range, low: float, high: float) -> bool:
    return high / low <= 1 + span.within or (span.over == "concurrency" and high - low <= 1)


def at_most(span: Range, bracket: Bracket) -> int:
    """The most stages that the search can still take from here."""
    count, low, high = 0, bracket.low if bracket.unclear is None else bracket.unclear, bracket.high
    while high is None and (load := _doubled(span, low)) is not None:
        count, low = count + 1, load
    if high is None and bracket.low != low:  # the last doubling may be the first that does not meet: widest bracket
        low, high = (low or span.from_) / 2, low
    while low is not None and high is not None and (load := next_load(span, Bracket(low, high))) is not None:
        low, count = (load, count + 1) if high / load >= load / low else (low, count + 1)
        high = high if low == load else load
    return count
