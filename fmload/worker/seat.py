"""A user's place in a stage: one slot, held from its first request there until the stage closes or the user goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gevent

from fmload.base.errors import FmloadError
from fmload.config.beside import BESIDE
from fmload.endpoints.base import Made
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record
from fmload.worker.dispatcher import Dispatcher
from fmload.worker.slots import Lane


class Seat:
    """One slot of a lane. Requests side by side share it: what is offered is users, not requests in flight."""

    def __init__(self, dispatcher: Dispatcher, lane: Lane) -> None:
        self.lane = lane
        self._dispatcher = dispatcher
        self._under_way: set[gevent.Greenlet] = set()
        self._left = False

    @property
    def open(self) -> bool:
        """Whether a request may be sent: the stage is on."""
        return not self._left and self._dispatcher.lanes.serves(self.lane)

    def ask(self, prompt: Prompt, note: dict[str, Any], makes: Made = "text",
            endpoint: str | None = None) -> tuple[Record, Reading] | None:
        """Send a prompt now and wait for the end of its answer; its record holds the note. None where it was killed
        before anything was sent. For vectors and rankings it goes to the endpoint beside this one that makes them, by
        its name where there are several: raises FmloadError where there is none."""
        request = self._dispatcher.start(self.lane if makes == "text" else self._beside(makes, endpoint), prompt, note)
        self._under_way.add(request)
        try:
            return self._dispatcher.finished(request)
        finally:
            self._under_way.discard(request)

    def _beside(self, makes: Made, endpoint: str | None) -> Lane:
        """The lane of the endpoint that makes vectors or rankings."""
        there = self._dispatcher.lanes_that_make(makes)
        found = [lane for lane in there if endpoint in (None, lane.endpoint)]
        if len(found) != 1:
            raise _unclear(makes, endpoint, [lane.endpoint for lane in there])
        return found[0]

    def leave(self) -> None:
        """Give the slot back, once; what is still under way is ended, and kept as cancelled."""
        if not self._left:
            self._left = True
            gevent.killall(list(self._under_way), block=False)
            self._dispatcher.release(self.lane)


def _unclear(makes: Made, endpoint: str | None, there: Sequence[str]) -> FmloadError:
    """Why a request cannot be sent to one endpoint, and how it could."""
    how = BESIDE[makes]
    if not there:
        return FmloadError(f"{how.call}: this run has no endpoint for {how.what} beside that of its users",
                           hint=f"give --fmload-{how.call}-model; or a run file with an endpoint of protocol "
                                f"{how.protocol}, and load: {{side_by_side: true}}")
    found = f"no endpoint '{endpoint}' for {how.what}" if endpoint else f"several endpoints for {how.what}"
    return FmloadError(f"{how.call}: this run has {found}", hint=f"name one: endpoint={' or '.join(map(repr, there))}")
