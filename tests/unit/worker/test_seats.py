"""A user's seat: one slot of a stage, held until that closes or the user goes; shared by its requests side by side."""

from __future__ import annotations

from typing import Any

import gevent
import gevent.event
import pytest

from fmload.base.errors import FmloadError
from fmload.endpoints.base import Made
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record
from fmload.worker.seat import Seat
from fmload.worker.slots import Lane, Slots

PROMPT = Prompt("p", "", text="x")


class Dispatcher:
    """Requests that end when the test says so."""

    def __init__(self) -> None:
        self.lanes = Slots()
        self.go = gevent.event.Event()
        self.killed = 0

    def start(self, lane: Lane, prompt: Prompt, note: dict[str, Any]) -> gevent.Greenlet:
        return gevent.spawn(self._request, lane, note)

    def _request(self, lane: Lane, note: dict[str, Any]) -> tuple[Record, Reading]:
        try:
            self.go.wait()
        except gevent.GreenletExit:
            self.killed += 1
            raise
        return Record("r", "w", lane.stage, lane.endpoint, lane.prompt_set, "p", 0, detail=str(note)), Reading()

    @staticmethod
    def finished(request: gevent.Greenlet) -> Any:
        request.join()
        return request.value if isinstance(request.value, tuple) else None

    def release(self, lane: Lane) -> None:
        self.lanes.release(lane)


@pytest.fixture
def seated() -> tuple[Dispatcher, Lane, Seat]:
    dispatcher = Dispatcher()
    lane, = dispatcher.lanes.serve([Lane(0, "e", "p", 1, 1)])
    return dispatcher, lane, Seat(dispatcher, dispatcher.lanes.take())  # type: ignore[arg-type]


def test_requests_side_by_side_hold_one_slot(seated: tuple[Dispatcher, Lane, Seat]) -> None:
    dispatcher, lane, seat = seated
    both = [gevent.spawn(seat.ask, PROMPT, {"name": name}) for name in "ab"]
    gevent.idle()
    assert (lane.busy, lane.free) == (1, 0)
    dispatcher.go.set()
    gevent.joinall(both)
    assert lane.busy == 1 and [one.value[0].detail for one in both] == ["{'name': 'a'}", "{'name': 'b'}"]
    seat.leave()
    assert lane.busy == 0


def test_a_seat_is_open_until_its_stage_closes_or_its_user_leaves(seated: tuple[Dispatcher, Lane, Seat]) -> None:
    dispatcher, lane, seat = seated
    dispatcher.lanes.serve([Lane(0, "e", "p", 2, 2)])  # dealt again: the stage goes on
    assert seat.open
    dispatcher.lanes.close()
    assert not seat.open
    dispatcher.lanes.serve([Lane(1, "e", "p", 1, 1)])
    assert not seat.open
    seat.leave()
    seat.leave()
    assert lane.busy == 0


class Endpoints(Dispatcher):
    """Serves the lanes of some endpoints beside that of the users, by what they make."""

    def __init__(self, **beside: list[str]) -> None:
        super().__init__()
        self.go.set()
        self._beside = beside

    def lanes_that_make(self, what: str) -> list[Lane]:
        return [Lane(number, name, "p", 0, 0) for number, name in enumerate(self._beside.get(what, []), 1)]


def test_vectors_and_rankings_are_asked_of_the_endpoint_that_makes_them_by_its_name_where_there_are_several() -> None:
    seat = Seat(Endpoints(vectors=["v"], rankings=["r", "s"]), Lane(0, "e", "p", 1, 1))  # type: ignore[arg-type]
    asked: list[tuple[Made, str | None]] = [("text", None), ("vectors", None), ("vectors", "v"), ("rankings", "s")]
    answers = [seat.ask(PROMPT, {}, makes, endpoint) for makes, endpoint in asked]
    assert [answer and answer[0].endpoint for answer in answers] == ["e", "v", "v", "s"]


@pytest.mark.parametrize(("makes", "endpoint", "words"), [
    ("rankings", None, ["rerank: this run has several endpoints for rankings", "endpoint='r' or 's'"]),
    ("rankings", "t", ["rerank: this run has no endpoint 't' for rankings", "endpoint='r' or 's'"]),
    ("vectors", None, ["embed: this run has no endpoint for embeddings", "--fmload-embed-model", "side_by_side"])])
def test_where_no_one_endpoint_is_meant_it_is_told_which_there_are(makes: Made, endpoint: str | None,
                                                                   words: list[str]) -> None:
    seat = Seat(Endpoints(rankings=["r", "s"]), Lane(0, "e", "p", 1, 1))  # type: ignore[arg-type]
    with pytest.raises(FmloadError) as told:
        seat.ask(PROMPT, {}, makes, endpoint)
    assert all(word in f"{told.value} {told.value.hint}" for word in words)


def test_who_leaves_takes_the_requests_under_way_along(seated: tuple[Dispatcher, Lane, Seat]) -> None:
    dispatcher, _, seat = seated
    asking = gevent.spawn(seat.ask, PROMPT, {})
    gevent.idle()
    seat.leave()
    asking.join(timeout=5)
    assert dispatcher.killed == 1 and asking.value is None and not seat.open
