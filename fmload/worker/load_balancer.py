"""Several addresses of one model: which one the next request of this worker goes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fmload.config.values import Balance

if TYPE_CHECKING:
    from fmload.wire.exchange import Address


class LoadBalancer:
    """Lends the addresses of one endpoint to the requests of one worker, each for as long as the request takes.

    round_robin: one after the other. least_busy: the one with the fewest requests of this worker in flight, the next
    in turn among equals. Workers begin at different addresses (`first`), so that few requests are spread, too.
    """

    def __init__(self, addresses: Sequence[Address], balance: Balance = "round_robin", first: int = 0) -> None:
        self._addresses = list(addresses)
        self._in_flight = [0] * len(self._addresses)
        self._turn = first % len(self._addresses)
        self._pick = _PICKS[balance]

    @contextmanager
    def lend(self) -> Iterator[Address]:
        """The address of the next request; it counts as busy until the block ends, however that ends."""
        place = self._pick(self._in_flight, self._turn)
        self._turn = (place + 1) % len(self._addresses)
        self._in_flight[place] += 1
        try:
            yield self._addresses[place]
        finally:
            self._in_flight[place] -= 1


def _round_robin(in_flight: Sequence[int], turn: int) -> int:
    return turn


def _least_busy(in_flight: Sequence[int], turn: int) -> int:
    places = len(in_flight)
    return min(((turn + step) % places for step in range(places)), key=in_flight.__getitem__)


_PICKS: dict[Balance, Callable[[Sequence[int], int], int]] = {"round_robin": _round_robin, "least_busy": _least_busy}
