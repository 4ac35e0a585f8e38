"""Exactly so many requests: which prompts of a set a stage sends, and which of them each worker. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

from fmload.base.apportion import shares, spread
from fmload.model.prompt import Prompt
from fmload.model.stage import Stage


@dataclass(frozen=True, slots=True)
class Part:
    """What one worker sends: `count` prompts of the set, every `stride`-th from number `first` on, counted round."""

    first: int
    count: int
    stride: int = 1

    def of(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts, in the order in which they are sent."""
        return [prompts[(self.first + number * self.stride) % len(prompts)] for number in range(self.count)]

    def to_json(self) -> dict[str, int]:
        """As the worker is told."""
        return asdict(self)


def begins_at(stage: Stage, sharing: Sequence[Stage]) -> int:
    """The number of the prompt with which a stage begins: behind all that the stages before it send of the same set to
    the same server (`sharing`, in the order of their steps)."""
    before = [one for one in sharing if (one.step, one.stage) < (stage.step, stage.stage) and
              (one.status != "interrupted" or one.step < stage.step)]
    latest = {(one.step, one.endpoint, one.mix.component if one.mix else None): one for one in before}
    return sum(one.requests or 0 for one in latest.values())


def of_users(requests: int, begin: int, slots: Sequence[int], prompts: Sequence[Prompt]) -> list[Part]:
    """The parts of workers with so many users each: a run of prompts by their share of the users. The turns of a
    conversation stay together."""
    if not sum(slots):
        return [Part(begin, 0) for _ in slots]
    counts, cuts = spread(requests, shares(slots)), [0]
    for count in counts:
        cut = max(cuts[-1], min(requests, sum(counts[:len(cuts)])))
        while count and 0 < cut < requests and _together(prompts, begin + cut):
            cut += 1
        cuts.append(cut)
    return [Part(begin + first, after - first) for first, after in pairwise(cuts)]


def _together(prompts: Sequence[Prompt], number: int) -> bool:
    """Whether a prompt goes on with the conversation of the one before it."""
    one, before = prompts[number % len(prompts)], prompts[(number - 1) % len(prompts)]
    return one.conversation is not None and one.conversation == before.conversation and one.turn > before.turn


def of_arrivals(requests: int, begin: int, workers: int) -> list[Part]:
    """The parts of workers that share the arrivals of an open loop in turn."""
    return [Part(begin + index, len(range(index, requests, workers)), workers) for index in range(workers)]
