"""Which prompt a worker sends next: every prompt once before any comes again, conversations turn by turn."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fmload.config.server_identity import server_of
from fmload.model.prompt import Prompt
from fmload.prompts.store import counted_by, of_endpoint

if TYPE_CHECKING:
    from fmload.config.schema import EndpointSpec

DealKey = tuple[str, str, str]


class Deal:
    """Deals the prompts of one shard to whoever is free.

    A later turn of a conversation is due when the turn before has been answered and its `think_s` has passed; what is
    due goes before what is new. Instants are seconds of one monotonic clock.
    """

    def __init__(self, prompts: Sequence[Prompt], begin: str | None = None) -> None:
        """`prompts`: at least one; turns of a conversation in their order. `begin`: the id of the one that comes
        first, those before it come last; a later turn of a conversation stands for the next prompt of its own."""
        self._following: dict[str, Prompt] = {}
        last: dict[str, Prompt] = {}
        fresh: list[Prompt] = []
        first = 0
        for prompt in prompts:
            if prompt.id == begin:
                first = len(fresh)
            before = last.get(prompt.conversation) if prompt.conversation else None
            if before is not None and before.turn < prompt.turn:
                self._following[before.id] = prompt
            else:
                fresh.append(prompt)
            if prompt.conversation:
                last[prompt.conversation] = prompt
        order = fresh[first:] + fresh[:first]
        self._fresh = itertools.cycle(order)
        self._once = iter(order)
        self._begun: Counter[str] = Counter()  # how often each conversation was
        self._due: list[tuple[float, int, Prompt]] = []
        self._order = itertools.count()

    def take(self, now_s: float) -> Prompt:
        """The prompt to send now."""
        if self._due and self._due[0][0] <= now_s:
            return heapq.heappop(self._due)[2]
        return self._first(next(self._fresh))

    def take_once(self, now_s: float) -> Prompt | None:
        """As `take`, where no prompt is sent again; None while nothing is left but turns that are not due."""
        if self._due and self._due[0][0] <= now_s:
            return heapq.heappop(self._due)[2]
        prompt = next(self._once, None)
        return None if prompt is None else self._first(prompt)

    def _first(self, prompt: Prompt) -> Prompt:
        """A prompt that nothing came before; a conversation that is begun again is another one."""
        if prompt.conversation is None:
            return prompt
        self._begun[prompt.conversation] += 1
        times = self._begun[prompt.conversation]
        return prompt if times == 1 else replace(prompt, conversation=f"{prompt.conversation}/{times}")

    def goes_on(self, prompt: Prompt) -> bool:
        """Whether another turn follows."""
        return prompt.id in self._following

    def answered(self, prompt: Prompt, now_s: float) -> None:
        """The prompt's request has ended, well or not: its conversation can go on."""
        following = self._following.get(prompt.id)
        if following is not None:
            due = replace(following, conversation=prompt.conversation)
            heapq.heappush(self._due, (now_s + following.think_s, next(self._order), due))


def deal_key(endpoint: EndpointSpec, prompt_set: str) -> DealKey:
    """What endpoints and sets that share one deal have in common."""
    return server_of(endpoint.model_dump()), counted_by(endpoint), prompt_set


def deals_of(endpoints: Sequence[EndpointSpec], shards: Mapping[str, list[Prompt]],
             begins: Mapping[str, Mapping[str, str]]) -> dict[tuple[str, str], Deal]:
    """The deal of every endpoint with every set, by their names; `begins` as `Deal` takes it, by endpoint and set.

    Every server walks through the whole shard by itself: servers are compared on the same prompts. Endpoints of one
    server share its prefix cache, so they share a deal and are sent different ones.
    """
    of_server: dict[DealKey, Deal] = {}
    deals: dict[tuple[str, str], Deal] = {}
    for spec in endpoints:
        for name, shard in shards.items():
            key = deal_key(spec, name)
            if key not in of_server:
                of_server[key] = Deal(of_endpoint(shard, spec), begins.get(spec.name, {}).get(name))
            deals[spec.name, name] = of_server[key]
    return deals
