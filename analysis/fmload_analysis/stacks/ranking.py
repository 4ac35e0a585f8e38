"""Candidates in order, with ties: whose interval reaches that of the best is not shown to be worse. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fmload.model.stack import Candidate, Figure, StackSearch, Trial


@dataclass(frozen=True, slots=True)
class Ranked:
    """A measured candidate. `place` counts from 1; `tie`: its interval reaches that of the winner."""

    place: int
    candidate: Candidate
    trial: Trial
    tie: bool


@dataclass(frozen=True, slots=True)
class Saving:
    """How much better the winner is than another, as a share of the other's figure, with its interval. Positive is
    better, of prices and of rates alike."""

    value: float
    low: float | None
    high: float | None


def ranking(search: StackSearch) -> list[Ranked]:
    """The measured candidates, best first; longer trials decide who wins, as short ones may be lucky."""
    found = search.best_trials()
    known = [(one, found[one.name]) for one in search.candidates
             if one.name in found and found[one.name].status == "measured" and found[one.name].figure.value is not None]
    known.sort(key=lambda pair: _cost(search, pair[1].figure.value))
    if not known:
        return []
    longest = max(trial.share for _, trial in known)
    winner = next(pair for pair in known if pair[1].share == longest)
    ordered = [winner, *(pair for pair in known if pair is not winner)]
    return [Ranked(place, one, trial, overlap(winner[1].figure, trial.figure))
            for place, (one, trial) in enumerate(ordered, 1)]


def winner(search: StackSearch) -> Ranked | None:
    """The best so far; None while nothing was measured."""
    return next(iter(ranking(search)), None)


def default_of(search: StackSearch, ranked: Sequence[Ranked]) -> Ranked | None:
    """The measured default candidate of the winner's base."""
    if not ranked:
        return None
    base = ranked[0].candidate.base
    return next((one for one in ranked if one.candidate.is_default and one.candidate.base == base), None)


def without_figure(search: StackSearch, status: str) -> list[tuple[Candidate, Trial]]:
    """Candidates whose last trial missed the objectives, or failed; or, of `measured`, whose figure is still open."""
    found = search.best_trials()
    return [(one, trial) for one in search.candidates if (trial := found.get(one.name)) is not None
            and trial.status == status and trial.figure.value is None]


def untried(search: StackSearch) -> list[Candidate]:
    """Candidates of which no trial is over."""
    found = search.best_trials()
    return [one for one in search.candidates if one.name not in found]


def overlap(one: Figure, other: Figure) -> bool:
    """Whether two intervals have a figure in common; an end that is not known may lie anywhere."""
    return _low(one) <= _high(other) and _low(other) <= _high(one)


def saving(search: StackSearch, best: Figure, other: Figure) -> Saving | None:
    """None where one of the figures is not known."""
    if best.value is None or not other.value:
        return None
    sign = 1.0 if search.lower_is_better else -1.0

    def share(here: float | None, there: float | None) -> float | None:
        return None if here is None or not there else sign * (1 - here / there)

    ends = [share(best.high, other.low), share(best.low, other.high)]
    least, most = ends if search.lower_is_better else ends[::-1]
    return Saving(sign * (1 - best.value / other.value), least, most)


def _low(figure: Figure) -> float:
    return -math.inf if figure.low is None else figure.low


def _high(figure: Figure) -> float:
    return math.inf if figure.high is None else figure.high


def _cost(search: StackSearch, value: float | None) -> float:
    assert value is not None
    return value if search.lower_is_better else -value
