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
    """A trial that is wanted: of a candidate, `share` of the run file's windows long (0 < share ≤ 1)."""

    candidate: str
    share: float = 1.0


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


def shuffled(space: Space) -> list[Candidate]:
    """The candidates in an order drawn by the seed, the default ones first: they are what the others are held to."""
    order = list(space.candidates)
    random.Random(space.seed).shuffle(order)
    return sorted(order, key=lambda one: not one.is_default)
