"""Which prompts a run goes on with after an interruption: none that was sent before, as long as there are others."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import msgpack
import pytest

from fmload.base.errors import FmloadError
from fmload.config import parse
from fmload.master.assignment import Assignment
from fmload.model.prompt import Prompt
from fmload.model.record import Record, pack
from fmload.prompts import store
from fmload.prompts.deal import Deal
from fmload.protocol.messages import Message, Plan, Prompts
from fmload.results.folder import Results
from fmload.results.journal import Journal
from tests.handmade import stage

RUN = """
name: t
endpoints:
  - {name: a, protocol: openai, url: 'http://a/v1'}
  - {name: b, protocol: openai, url: 'http://b/v1'}
prompts: [{name: p, source: synthetic, input_tokens: 5}]
load: {concurrency: [1]}
"""


class Registry:
    """Keeps what each worker was sent."""

    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}
        self.shards: dict[str, list[Prompt]] = {}

    def send(self, message: Message, worker: str) -> None:
        if isinstance(message, Plan):
            self.plans[worker], self.shards[worker] = message, []
        if isinstance(message, Prompts):
            self.shards[worker] += [Prompt(**values) for values in msgpack.unpackb(message.prompts)]


class Folder:
    """A results folder with twenty prompts; sessions of it, each with workers of its own."""

    def __init__(self, root: Path, prompts: Iterable[Prompt] | None = None) -> None:
        self.results = Results(root).create()
        twenty = (Prompt(f"p-{number:02d}", "p", text="x") for number in range(20))
        store.write(self.results.prompts / "p.jsonl", prompts or twenty)

    def session(self, workers: int, late: int = 0) -> dict[str, Deal]:
        """What endpoint `a` and `b` are sent, by worker and endpoint (`0a`)."""
        run, registry = parse(RUN, "run.yml", self.results.root), Registry()
        assignment = Assignment(run, "r", self.results, workers)
        for index in range(workers + late):
            assignment.give_plan(registry, str(index), index, trial=False)  # type: ignore[arg-type]
        return {f"{worker}{endpoint}": Deal(registry.shards[worker], registry.plans[worker].begins[endpoint]["p"])
                for worker in registry.shards for endpoint in "ab"}

    def journal(self, prompts: Iterable[str], endpoint: str = "a") -> None:
        log = Journal(self.results.journal / f"w-{endpoint}.log")
        for prompt in prompts:
            log.append(pack(Record(f"{endpoint}-{prompt}", "w", 0, endpoint, "p", prompt, scheduled_ns=1)))
        log.close()

    def was_killed(self, workers: int, in_flight: int) -> None:
        """The files say so; earlier, in a stage that is done, there was more in flight. The last line is torn."""
        stages = [stage(0, status="done", workers=["early"]),
                  stage(1, status="interrupted", workers=[str(index) for index in range(workers)])]
        self.results.stages_json.write_text(json.dumps({"stages": stages}))
        told = [{"worker": "early", "in_flight": 99}, {"worker": "0", "in_flight": in_flight}]
        self.results.health_jsonl.write_text("".join(json.dumps(line) + "\n" for line in told) + '{"worker": "w", "in')


def taken(deal: Deal, count: int) -> list[str]:
    return [deal.take(0.0).id for _ in range(count)]


def numbers(of: Iterable[int]) -> list[str]:
    return [f"p-{number:02d}" for number in of]


def test_a_new_run_begins_with_the_first_prompts(tmp_path: Path) -> None:
    deals = Folder(tmp_path).session(2)
    assert taken(deals["0a"], 3) == taken(deals["0b"], 3) == numbers([0, 2, 4])
    assert taken(deals["1a"], 3) == numbers([1, 3, 5])


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_resumed_run_sends_no_prompt_again_while_there_are_others(tmp_path: Path, workers: int) -> None:
    folder = Folder(tmp_path)
    sent = [prompt for name, deal in folder.session(2).items() if name.endswith("a") for prompt in taken(deal, 4)]
    folder.journal(sent)
    again = [taken(deal, 12 // workers) for name, deal in folder.session(workers).items() if name.endswith("a")]
    assert not set(sent) & {prompt for prompts in again for prompt in prompts}
    assert {prompt for prompts in again for prompt in prompts} == set(numbers(range(8, 20)))


def test_an_endpoint_that_was_sent_nothing_begins_with_the_first_prompts(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.journal(numbers(range(5)), "a")
    deals = folder.session(1)
    assert taken(deals["0a"], 2) == numbers([5, 6])
    assert taken(deals["0b"], 2) == numbers([0, 1])


@pytest.mark.parametrize(("workers", "first"), [(1, [9, 10]), (2, [10, 12]), (3, [9, 12])])
def test_what_a_kill_left_without_a_record_is_not_sent_either(tmp_path: Path, workers: int, first: list[int]) -> None:
    folder = Folder(tmp_path)
    folder.journal(numbers([0, 1, 2]))
    folder.was_killed(workers=2, in_flight=3)
    assert taken(folder.session(workers)["0a"], 2) == numbers(first)


def test_the_last_new_prompts_are_sent_although_they_may_have_been_in_flight(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.journal(numbers(range(18)))
    folder.was_killed(workers=1, in_flight=3)
    assert taken(folder.session(1)["0a"], 3) == numbers([18, 19, 0])


def test_a_set_that_was_sent_whole_begins_anew(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.journal(numbers(range(20)))
    assert taken(folder.session(1)["0a"], 2) == numbers([0, 1])


def test_a_conversation_that_was_broken_off_is_followed_by_a_new_one(tmp_path: Path) -> None:
    turns = [Prompt(f"p-{talk}{turn}", "p", text="x", conversation=str(talk), turn=turn)
             for talk in range(3) for turn in range(3)]
    folder = Folder(tmp_path, turns)
    folder.journal(["p-00", "p-10", "p-01"])
    assert taken(folder.session(1)["0a"], 2) == ["p-20", "p-00"]


def test_workers_that_come_late_begin_far_behind_those_whose_prompts_they_share(tmp_path: Path) -> None:
    deals = Folder(tmp_path).session(1, late=2)
    first = [taken(deal, 4) for name, deal in deals.items() if name.endswith("a")]
    assert len({prompt for prompts in first for prompt in prompts}) == 12


def test_a_set_without_a_prompt_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    (folder.results.prompts / "p.jsonl").write_text("")
    with pytest.raises(FmloadError, match=r"prompt set 'p': .*p\.jsonl holds no prompt"):
        folder.session(1)


def test_a_resumed_run_begins_whole_sessions_that_were_not_begun_before(tmp_path: Path) -> None:
    """Of a session some steps were sent; nobody goes on in its middle, and nobody begins it again."""
    folder = Folder(tmp_path)
    folder.journal(["p-00:plan", "p-00:write", "p-01:plan"])
    assert taken(folder.session(1)["0a"], 3) == ["p-02", "p-03", "p-04"]
