"""A step is scheduled by what the master knows of a worker's clock when the step begins, not by an earlier estimate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fmload.config import parse
from fmload.master.assignment import Assignment
from fmload.model.prompt import Prompt
from fmload.plan.stages import plan
from fmload.prompts import store
from fmload.protocol.messages import Message, Ping, Step
from fmload.results.folder import Results
from fmload.worker.worker import Worker

RUN = """
name: t
endpoints: [{name: e, protocol: openai, url: 'http://h/v1'}]
prompts: [{name: p, source: synthetic, input_tokens: 5}]
load: {rate: [10]}
"""


class Registry:
    """One worker, whose clock is known to be 3 ns ahead."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def users(self) -> dict[str, int]:
        return {"w": 1}

    def offset_ns(self, worker: str) -> int | None:
        return {"w": 3}[worker]

    def send(self, message: Message, worker: str) -> None:
        self.sent.append(message)


class Link:
    def send(self, message: Message, worker: str | None = None) -> None: ...


class Sender:
    """Keeps the offset that held when it was asked to serve."""

    offset_ns = 0
    served_with: int | None = None

    def serve(self, lanes: list[dict[str, Any]], when_spent: Any) -> None:
        self.served_with = self.offset_ns

    def go_on(self) -> None: ...


def test_the_step_carries_what_the_master_knows_of_the_clock(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    store.write(results.prompts / "p.jsonl", [Prompt("p-0", "p", text="x")])
    run, registry = parse(RUN, "run.yml", tmp_path), Registry()
    assignment = Assignment(run, "r", results, 1)
    assignment.give_plan(registry, "w", 0, trial=False)  # type: ignore[arg-type]
    assignment.give_slots(registry, 0, plan(run), [0.0], 0)  # type: ignore[arg-type]
    assert [one.offset_ns for one in registry.sent if isinstance(one, Step)] == [3]


def test_a_worker_serves_a_step_by_the_steps_own_offset() -> None:
    worker, dispatcher = Worker(Link(), "w", lambda *_: None), Sender()
    worker._dispatcher = dispatcher  # type: ignore[assignment]
    worker.on_ping(Ping(0, 43_000_000))  # an early ping, late on its way
    worker.on_step(Step(0, [], 0))
    assert dispatcher.served_with == 0
