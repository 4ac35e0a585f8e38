"""Prompts go to the workers in messages of a bounded size, however many there are."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import msgpack

from fmload.config import parse
from fmload.master.assignment import PROMPT_BATCH_BYTES, Assignment
from fmload.model.prompt import Prompt
from fmload.plan.stages import plan
from fmload.prompts import store
from fmload.protocol.messages import Message, Plan, Prompts
from fmload.results.folder import Results

RUN = """
name: t
endpoints: [{name: e, protocol: openai, url: 'http://h/v1', model: m}]
prompts: [{name: p, source: synthetic, input_tokens: 20, output_tokens: 5}]
load: {concurrency: [10000], workers: 2}
"""
HEADER_BYTES = 5  # of a list in MessagePack


class Registry:
    """What each worker was sent."""

    def __init__(self) -> None:
        self.sent: defaultdict[str, list[Message]] = defaultdict(list)

    def send(self, message: Message, worker: str) -> None:
        self.sent[worker].append(message)


def test_ten_thousand_prompts_are_dealt_each_once_in_messages_below_the_limit(tmp_path: Path) -> None:
    results, registry = Results(tmp_path).create(), Registry()
    sizes = [number % 2000 for number in range(10_000)]
    sizes[7] = 2 * PROMPT_BATCH_BYTES  # it goes alone
    store.write(results.prompts / "p.jsonl",
                [Prompt(f"p-{number:05d}", "p", text="x" * size) for number, size in enumerate(sizes)])
    run = parse(RUN, "run.yml", tmp_path)
    assignment = Assignment(run, "r", results, 2, plan(run))
    for index, worker in enumerate("ab"):
        assignment.give_plan(registry, worker, index, trial=False)  # type: ignore[arg-type]
    dealt = [prompt for worker in "ab" for prompt in _dealt(registry.sent[worker])]
    assert sorted(dealt) == [f"p-{number:05d}" for number in range(10_000)]


def _dealt(messages: list[Message]) -> list[str]:
    told, *batches = messages
    found: list[str] = []
    for batch in batches:
        assert isinstance(batch, Prompts)
        prompts: list[dict[str, Any]] = msgpack.unpackb(batch.prompts)
        assert len(prompts) == 1 or len(batch.prompts) <= PROMPT_BATCH_BYTES + HEADER_BYTES
        found += [prompt["id"] for prompt in prompts]
    assert isinstance(told, Plan) and told.prompts == {"p": len(found)} and len(batches) > 5
    return found
