"""A worker whose master has been silent for too long: what is due waits, and goes out late or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmload.config import parse
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.worker.dispatcher import Dispatcher
from tests.unit.worker.test_catching_up import RUN, lane, rounds


class Leashed(Dispatcher):
    """Sends nothing, and notes which requests it would have sent."""

    def __init__(self, folder: Path) -> None:
        self.may = False
        self.sent: list[int] = []
        super().__init__(parse(RUN, "run.yml", folder), {"p": [Prompt("p-0", "p", text="x")]}, "w", lambda *_: None,
                         lambda *_: None, may_send=lambda: self.may)

    def _measure(self, lane: Any, prompt: Prompt, scheduled_ns: int) -> Any:
        self.sent.append(scheduled_ns)
        return self._unsent(lane, prompt, scheduled_ns), Reading()


def test_what_is_due_waits_for_the_masters_word_and_goes_out_with_the_instants_at_which_it_was_due(
        tmp_path: Path) -> None:
    dispatcher = Leashed(tmp_path)
    dispatcher.serve([lane(overdue=20)])
    rounds(5)
    assert dispatcher.sent == [] and dispatcher.in_flight >= 20
    dispatcher.go_on()
    rounds(5)
    assert dispatcher.sent == []
    dispatcher.may = True
    dispatcher.go_on()
    rounds(5)
    assert len(dispatcher.sent) >= 20 and dispatcher.sent == sorted(dispatcher.sent)
    dispatcher.stop()


def test_what_waits_when_its_stage_closes_is_never_sent_and_the_worker_is_idle(tmp_path: Path) -> None:
    dispatcher = Leashed(tmp_path)
    dispatcher.serve([lane(overdue=20)])
    rounds(5)
    idle: list[bool] = []
    dispatcher.stop(when_idle=lambda: idle.append(True))
    rounds(5)
    dispatcher.may = True
    dispatcher.go_on()
    rounds(5)
    assert (dispatcher.sent, dispatcher.in_flight, idle) == ([], 0, [True])
