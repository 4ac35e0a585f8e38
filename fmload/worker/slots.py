"""The places from which a worker's users send: so many of each stage at the same time, and never one more."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from gevent.event import AsyncResult


def opening_s(slots: int, ramp_s: float, index: int, workers: int, seed: str) -> list[float]:
    """When a worker's slots open, in seconds after the ramp began: spread evenly over it, workers interleaved, each but
    the first at random within its part. Even steps would fall in with answers of equal length: users in lock-step."""
    draw = random.Random(seed)
    return [ramp_s * (slot + (index + (draw.random() if slot else 0.0)) / workers) / slots for slot in range(slots)]


@dataclass(slots=True, eq=False)
class Lane:
    """This worker's part of one stage. `slots` may be busy at the same time; `opened` of them are open so far."""

    stage: int
    endpoint: str
    prompt_set: str
    slots: int = 0
    opened: int = 0
    busy: int = 0
    component: int | None = None  # of a mix, which may have parameters of its own
    unreached: int = 0  # requests in a row that did not reach the endpoint
    left: int | None = None  # requests that may still be sent, of exactly so many

    @property
    def free(self) -> int:
        free = min(self.slots, self.opened) - self.busy
        return free if self.left is None else min(free, self.left)

    @property
    def spent(self) -> bool:
        """Whether all of exactly so many requests have been sent, and no user is at one."""
        return self.left == 0 and self.busy == 0

    def engage(self) -> None:
        """A user has one of the slots, for one request."""
        self.busy += 1
        if self.left is not None:
            self.left -= 1


class Slots:
    """Deals slots to users: a user that is free takes a slot of the lane with the most free ones, or waits."""

    def __init__(self) -> None:
        self._lanes: dict[int, Lane] = {}
        self._waiting: deque[tuple[AsyncResult[Lane], str | None]] = deque()

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def serve(self, lanes: list[Lane]) -> list[Lane]:
        """Serve these lanes from now on, and no others; returns them as they are served.

        A lane that goes on (same stage) keeps what it has open and busy, and gets the new number of slots.
        """
        before, self._lanes = self._lanes, {}
        for lane in lanes:
            served = self._lanes[lane.stage] = before.get(lane.stage, lane)
            served.slots, served.opened = lane.slots, min(served.opened, lane.slots)
        self._grant()
        return list(self._lanes.values())

    def open(self, lane: Lane) -> None:
        """Open one more slot of a lane (the ramp)."""
        lane.opened += 1
        self._grant()

    def close(self) -> None:
        """Take no new requests of any stage."""
        self._lanes = {}

    def serves(self, lane: Lane) -> bool:
        """Whether requests of this lane may be sent."""
        return self._lanes.get(lane.stage) is lane

    def take(self, endpoint: str | None = None) -> Lane:
        """A slot, as soon as there is one; blocks the greenlet. A greenlet killed meanwhile takes none. `endpoint`:
        the one whose lanes alone will do."""
        lane = self._freest(endpoint)
        if lane is not None:
            lane.engage()
            return lane
        granted: AsyncResult[Lane] = AsyncResult()
        waiter = (granted, endpoint)
        self._waiting.append(waiter)
        try:
            waited_for: Lane = granted.get()
        except BaseException:
            if granted.ready():
                self.release(granted.get())
            else:
                self._waiting.remove(waiter)
            raise
        return waited_for

    def release(self, lane: Lane) -> None:
        """Give a slot back."""
        lane.busy -= 1
        self._grant()

    def _freest(self, endpoint: str | None = None) -> Lane | None:
        lanes = (lane for lane in self._lanes.values() if endpoint in (None, lane.endpoint))
        best = max(lanes, key=lambda lane: lane.free, default=None)
        return best if best is not None and best.free > 0 else None

    def _grant(self) -> None:
        """Slots to those that wait, in their order; who waits for a lane that is full lets others pass."""
        while self._waiting and self._freest() is not None:
            found = next(((place, lane) for place, (_, endpoint) in enumerate(self._waiting)
                          if (lane := self._freest(endpoint)) is not None), None)
            if found is None:
                return
            place, lane = found
            granted, _ = self._waiting[place]
            del self._waiting[place]
            lane.engage()
            granted.set(lane)
