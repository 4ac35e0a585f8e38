"""Rows of a trace whose worker is gone: the others get those that are still to come, each once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgpack
import pytest

from fmload.config import parse
from fmload.master.assignment import Assignment
from fmload.model.prompt import Prompt
from fmload.model.stage import Stage
from fmload.plan.stages import plan
from fmload.prompts import store
from fmload.protocol.messages import Adopt, Message, Step
from fmload.results.folder import Results

RUN = """
name: t
endpoints: [{name: e, protocol: openai, url: 'http://h/v1'}]
prompts: [{name: p, source: azure_trace, files: [t.csv]}]
load: {trace: {speed: 2}, warmup: 0}
"""
WORKERS = ("a", "b", "c")


class Registry:
    """Workers that may go; what they were sent."""

    def __init__(self) -> None:
        self.there = list(WORKERS)
        self.sent: list[tuple[str, Message]] = []

    def users(self) -> dict[str, int]:
        return dict.fromkeys(self.there, 1)

    def offset_ns(self, worker: str) -> int | None:
        return 0

    def send(self, message: Message, worker: str) -> None:
        self.sent.append((worker, message))


class Fleet:
    """Twelve rows of a trace, half a second apart when replayed, on three workers."""

    def __init__(self, folder: Path, rows: int = 12) -> None:
        results = Results(folder).create()
        store.write(results.prompts / "p.jsonl",
                    [Prompt(f"p-{row:02d}", "p", text="x", offset_s=float(row)) for row in range(rows)])
        run, self.registry = parse(RUN, "run.yml", folder), Registry()
        self.index: dict[str, int] = {}
        self.stage: Stage = plan(run)[0]
        self.stage.ramp_start_ns = 10**9
        self.assignment = Assignment(run, "r", results, len(WORKERS))
        for index, worker in enumerate(WORKERS):
            self.join(worker, index)

    def join(self, worker: str, index: int) -> None:
        self.index[worker] = index
        self.assignment.give_plan(self.registry, worker, index, trial=False)  # type: ignore[arg-type]

    def deal(self, since_s: float) -> dict[str, list[str]]:
        """The rows that each worker sends from so many seconds after the start on."""
        self.registry.sent.clear()
        since_ns = 10**9 + int(since_s * 1e9)
        self.assignment.give_slots(self.registry, 0, [self.stage], [0.0], since_ns)  # type: ignore[arg-type]
        rows: dict[str, list[str]] = {worker: [] for worker in self.registry.there}
        for worker, message in self.registry.sent:
            if isinstance(message, Step) and message.lanes[0].replays:
                rows[worker] += self._of_shard(self.index[worker] % len(WORKERS), since_s)
            if isinstance(message, Adopt):
                rows[worker] += [row["id"] for row in msgpack.unpackb(message.prompts)]
        return rows

    @staticmethod
    def _of_shard(number: int, since_s: float) -> Iterable[str]:
        return [f"p-{row:02d}" for row in range(number, 12, 3) if row / 2 >= since_s]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def test_nobody_gets_more_than_its_shard_while_all_are_there(fleet: Fleet) -> None:
    fleet.deal(0.0)
    assert [type(message) for _, message in fleet.registry.sent] == [Step] * 3


def test_what_is_to_come_of_a_lost_workers_rows_goes_to_the_others_in_turn(fleet: Fleet) -> None:
    fleet.registry.there.remove("b")  # which had 1, 4, 7 and 10
    rows = fleet.deal(2.0)  # 4 is due just then
    assert rows == {"a": ["p-06", "p-09", "p-04", "p-10"], "c": ["p-05", "p-08", "p-11", "p-07"]}


def test_the_next_stage_is_whole_on_the_workers_that_are_left(fleet: Fleet) -> None:
    fleet.registry.there = ["c"]
    assert sorted(fleet.deal(0.0)["c"]) == [f"p-{row:02d}" for row in range(12)]


def test_a_late_worker_with_a_lost_workers_shard_replays_it(fleet: Fleet) -> None:
    fleet.registry.there = ["b", "c", "late"]
    fleet.join("late", 3)
    rows = fleet.deal(3.0)
    assert rows == {"b": ["p-07", "p-10"], "c": ["p-08", "p-11"], "late": ["p-06", "p-09"]}


def test_a_worker_without_rows_of_its_own_orphans_none(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, rows=2)
    fleet.registry.there.remove("c")
    fleet.deal(0.0)
    assert [type(message) for _, message in fleet.registry.sent] == [Step] * 2
