"""A user's place in a stage: one slot, held from its first request there until the stage closes or the user goes."""

from __future__ import annotations

from typing import Any

import gevent

from fmload.base.errors import FmloadError
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record
from fmload.worker.dispatcher import Dispatcher
from fmload.worker.slots import Lane

_NONE_THERE = "embed: this run has no endpoint for embeddings beside that of its users"
_SEVERAL = "embed: this run has several endpoints for embeddings; name one (endpoint=…)"
_HOW = ("give --fmload-embed-model; or a run file with an endpoint of protocol embeddings, and load: {side_by_side: "
        "true}")


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

    def ask(self, prompt: Prompt, note: dict[str, Any], embeds: bool = False,
            endpoint: str | None = None) -> tuple[Record, Reading] | None:
        """Send a prompt now and wait for the end of its answer; its record holds the note. None where it was killed
        before anything was sent. With `embeds` it goes to the endpoint for embeddings beside this one, by its name
        where there are several: raises FmloadError where there is none."""
        request = self._dispatcher.start(self._beside(endpoint) if embeds else self.lane, prompt, note)
        self._under_way.add(request)
        try:
            return self._dispatcher.finished(request)
        finally:
            self._under_way.discard(request)

    def _beside(self, endpoint: str | None) -> Lane:
        """The lane of an endpoint that embeds."""
        there = [lane for lane in self._dispatcher.embedding_lanes() if endpoint in (None, lane.endpoint)]
        if len(there) != 1:
            raise FmloadError(_NONE_THERE if not there else _SEVERAL, hint=_HOW)
        return there[0]

    def leave(self) -> None:
        """Give the slot back, once; what is still under way is ended, and kept as cancelled."""
        if not self._left:
            self._left = True
            gevent.killall(list(self._under_way), block=False)
            self._dispatcher.release(self.lane)
