"""Conversations as whole sessions: all turns of one in one prompt, so that a user or an arrival has them to the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import orjson

from fmload.base.errors import FmloadError
from fmload.model.prompt import Prompt
from fmload.model.step import Step, session_prompt
from fmload.prompts import store


def folded(content: bytes, prompt_set: str) -> bytes:
    """The lines of a set with each conversation as one prompt. Raises FmloadError for a set that has none."""
    prompts = [Prompt(**orjson.loads(line)) for line in content.splitlines()]
    if not any(prompt.conversation or prompt.steps for prompt in prompts):
        raise FmloadError(f"prompt set '{prompt_set}': load.sessions, and it has no conversations",
                          hint="take source conversation or agents, or more turns (turns of sharegpt)")
    return store.dumps(_sessions(prompts))


def _sessions(prompts: Iterable[Prompt]) -> Iterator[Prompt]:
    for conversation, turns in groupby(prompts, lambda prompt: prompt.conversation or prompt.id):
        known = list(turns)
        yield known[0] if known[0].steps else _session(known, conversation)


def _session(turns: Sequence[Prompt], conversation: str) -> Prompt:
    """One conversation. A question that gets no answer is left out, and the conversation goes on."""
    steps: list[Step] = []
    before: Step | None = None
    heard = 0
    for number, turn in enumerate(turns):
        if turn.think_s:
            steps.append(Step(f"think-{number + 1}", "think", _last(steps), seconds=turn.think_s))
        new = turn.as_messages()[heard:]
        if before is not None and new and new[0].get("role") == "assistant":
            before.answer, new = str(new[0].get("content") or ""), new[1:]
        before = Step(f"turn-{number + 1}", "request", _last(steps), chat=before.id if before else None, messages=new,
                      input_tokens=None if turn.served and number else turn.input_tokens,
                      output_tokens=turn.output_tokens, exact_output=turn.exact_output, parameters=turn.parameters,
                      optional=True)
        heard = len(turn.as_messages())
        steps.append(before)
    first = turns[0]
    session = session_prompt(steps, first.served, prompt_set=first.prompt_set, id=first.id, tokenizer=first.tokenizer,
                             offset_s=first.offset_s, conversation=None)
    return replace(session, messages=first.as_messages(), input_tokens=first.input_tokens, reference=first.reference,
                   tenant=first.tenant)


def _last(steps: Sequence[Step]) -> list[str]:
    return [steps[-1].id] if steps else []
