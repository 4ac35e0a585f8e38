"""Arrivals that are overdue: the worker catches up with them at once, and does not forget to read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import gevent

from fmload.config import parse
from fmload.model.prompt import Prompt
from fmload.protocol.messages import LaneShare
from fmload.worker.dispatcher import SPAWNED_AT_ONCE, Dispatcher

RUN = """
name: t
endpoints: [{name: e, protocol: openai, url: 'http://127.0.0.1:1/v1'}]
prompts: [{name: p, source: fixed}]
load: {rate: [100]}
"""


class Idle(Dispatcher):
    """Notes when its requests were due, and sends nothing."""

    def __init__(self, folder: Path) -> None:
        prompts = {"p": [Prompt("p-0", "p", text="x")]}
        super().__init__(parse(RUN, "run.yml", folder), prompts, "w", lambda *_: None, lambda *_: None)
        self.due_ns: list[int] = []

    def _request(self, lane: Any, scheduled_ns: int, due: Prompt | None, note: Any = None) -> Any:
        self.due_ns.append(scheduled_ns)


def lane(overdue: int) -> LaneShare:
    """Constant arrivals, 100 a second, of which so many are overdue."""
    start_ns = time.monotonic_ns() - overdue * 10**7
    asked = {"value": 100.0, "arrivals": None, "lead_s": 0.0, "mix": None, "seed": 1}
    return LaneShare(0, "e", "p", "rate", start_ns, start_ns, index=0, workers=1, slots=0, ramp_s=0.0, asked=asked)


def rounds(number: int) -> None:
    for _ in range(number):
        gevent.sleep(0)


def test_what_is_overdue_goes_out_in_one_round_of_the_loop_in_its_order(tmp_path: Path) -> None:
    dispatcher = Idle(tmp_path)
    dispatcher.serve([lane(overdue=50)])
    rounds(3)  # the pacing begins, it spawns, they send
    assert len(dispatcher.due_ns) >= 50
    assert dispatcher.due_ns == sorted(dispatcher.due_ns)
    dispatcher.stop()


def test_a_long_backlog_leaves_the_loop_to_others_in_between(tmp_path: Path) -> None:
    dispatcher = Idle(tmp_path)
    dispatcher.serve([lane(overdue=10 * SPAWNED_AT_ONCE)])
    rounds(3)
    assert SPAWNED_AT_ONCE <= len(dispatcher.due_ns) <= 3 * SPAWNED_AT_ONCE
    rounds(15)
    assert len(dispatcher.due_ns) >= 10 * SPAWNED_AT_ONCE
    dispatcher.stop()
