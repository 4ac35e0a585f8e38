"""What a strategy of the search over stacks is: from the trials so far to those that come next.

It remembers nothing: the same trials and the same seed give the same answer, so that a search that was killed goes on
as it would have.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from fmload.model.stack import Candidate, Trial


@dataclass(frozen=True, slots=True)
class Space:
    """What may be tried. Of the figure the lowest is the best, or the highest."""

    candidates: Sequence[Candidate]
    lower_is_better: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """A trial that is wanted: of a candidate, `share` of the run file's windows long (0 < share ≤ 1). `near`: the load
    at which its answer is thought to be, by those of other trials."""

    candidate: str
    share: float = 1.0
    near: float | None = None


class Strategy(Protocol):
    """Built from its options and the space. `Options` are its keys of `stacks` in the run file."""

    Options: ClassVar[type[BaseModel]]

    def __init__(self, options: Any, space: Space) -> None: ...

    def next(self, trials: Sequence[Trial]) -> list[Ask]:
        """What may begin now, in order, running trials among `trials`. Empty while none runs: the search is over."""
        ...

    def at_most(self) -> list[Ask]:
        """Every trial that the search could come to; for estimates of time and cost."""
        ...


def near_of(name: str, space: Space, trials: Sequence[Trial]) -> float | None:
    """The highest load of the candidate's own longest trial; else of the one that has most settings in common with it,
    the earliest of several. None while no trial knows one."""
    by_name = {one.name: one for one in space.candidates}
    known = [trial for trial in trials if trial.over and trial.facts.get("highest")]
    own = [trial for trial in known if trial.candidate == name]
    if own:
        return float(max(own, key=lambda trial: trial.share).facts["highest"])

    def alike(trial: Trial) -> int:
        other = by_name[trial.candidate]
        return sum(other.settings.get(key) == value for key, value in by_name[name].settings.items()) - 100 * (
            other.base != by_name[name].base)

    best = max(known, key=alike, default=None)
    return None if best is None else float(best.facts["highest"])


def shuffled(space: Space) -> list[Candidate]:
    """The candidates in an order drawn by the seed, the default ones first: they are what the others are held to."""
    order = list(space.candidates)
    random.Random(space.seed).shuffle(order)
    return sorted(order, key=lambda one: not one.is_default)
