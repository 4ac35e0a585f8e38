"""What one worker sends of an open loop, as it is due; what is dealt again changes hands at an instant."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from operator import itemgetter

from fmload.model.prompt import Prompt

Due = tuple[int, Prompt | None]  # an instant of the worker's clock, and what is sent; None: whatever comes next


class ArrivalQueue:
    """Arrivals, ascending, taken one by one. Pure; it knows no clock."""

    def __init__(self, due: Iterable[Due]) -> None:
        self._rest: Iterator[Due] = iter(due)
        self.next: Due | None = next(self._rest, None)

    def take(self) -> Due:
        """The next arrival, which is then taken. Raises StopIteration when there is none."""
        if self.next is None:
            raise StopIteration
        taken, self.next = self.next, next(self._rest, None)
        return taken

    def hand_over(self, since_ns: int, due: Iterable[Due]) -> ArrivalQueue:
        """A schedule of what this one has left before `since_ns`, and of `due` from then on."""
        before = itertools.takewhile(lambda one: one[0] < since_ns, self._left())
        return ArrivalQueue(itertools.chain(before, _since(since_ns, due)))

    def adopt(self, since_ns: int, due: Iterable[Due]) -> ArrivalQueue:
        """A schedule of what this one has left, which must end, and of `due` from `since_ns` on."""
        return ArrivalQueue(sorted([*self._left(), *_since(since_ns, due)], key=itemgetter(0)))

    def _left(self) -> Iterator[Due]:
        while self.next is not None:
            yield self.take()


def _since(since_ns: int, due: Iterable[Due]) -> Iterator[Due]:
    return itertools.dropwhile(lambda one: one[0] < since_ns, due)
