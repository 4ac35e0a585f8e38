"""Counts by the second, in bounded memory: of a long run the last quarter of an hour."""

from __future__ import annotations

from collections.abc import Iterator

import msgpack

from fmload.live.counts import Counts

KEPT_SECONDS = 900  # as many as a chart shows
OPEN_SECONDS = 20  # the newest, to which workers still add; a histogram takes ten times the room while it is open


class Seconds:
    """`Counts` by the second of the master's clock. Those that nobody adds to any more are kept packed."""

    def __init__(self) -> None:
        self._open: dict[int, Counts] = {}
        self._packed: dict[int, bytes] = {}

    def __iter__(self) -> Iterator[int]:
        """The seconds of which anything is known, in no order."""
        return iter((*self._packed, *self._open))

    def add(self, second: int, counts: Counts) -> None:
        """Add to a second, however long ago: a worker that stood still reports late."""
        if second not in self._open:
            self._open[second] = self.at(second)
            self._packed.pop(second, None)
        self._open[second].add(counts)

    def at(self, second: int) -> Counts:
        """The counts of a second; nothing where nothing is known."""
        if second in self._open:
            return self._open[second]
        packed = self._packed.get(second)
        return Counts() if packed is None else Counts.load(msgpack.unpackb(packed, strict_map_key=False))

    def tidy(self) -> None:
        """Pack what is no longer added to, and forget what is too old."""
        newest = max(self, default=0)
        for second in [second for second in self._open if second <= newest - OPEN_SECONDS]:
            self._packed[second] = msgpack.packb(self._open.pop(second).dump())
        for second in [second for second in self._packed if second <= newest - KEPT_SECONDS]:
            del self._packed[second]
