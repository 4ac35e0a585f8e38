"""Sessions as a trace tells them, and the graph that each of them was: who waited for whom, by their instants. Pure."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fmload.model.step import Step, StepKind
from fmload.prompts.files import Row
from fmload.prompts.synthetic import text_of
from fmload.prompts.tokenizer import Tokenizer

Message = dict[str, Any]
Around = tuple[str, float, float]  # something that a step lies in: its id, begin and end


@dataclass(slots=True)
class TracedStep:
    """One step as it was recorded; instants in seconds on the trace's own clock.

    `around`: what it lies in, from the outermost to the innermost: branches that lie side by side there do not wait for
    each other. `after`: the ids that it waited for, where the trace says so. Of a request, `messages` (with `answer`, a
    message) or `input_tokens`; `blocks`: ids of the blocks of its text, where the trace has those.
    """

    id: str
    kind: StepKind
    begin_s: float
    end_s: float
    name: str = ""
    agent: str = ""
    around: tuple[Around, ...] = ()
    after: list[str] | None = None
    messages: list[Message] | None = None
    answer: Message | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    blocks: tuple[int, ...] = ()


@dataclass(slots=True)
class TracedSession:
    """One session: its steps in any order, and where it stands in its file."""

    name: str
    where: str
    steps: list[TracedStep] = field(default_factory=list)

    @property
    def at_s(self) -> float:
        """When it began."""
        return min(step.begin_s for step in self.steps)


class TraceForm(Protocol):
    """One form of traces, a module: `fmload.plugins.SESSION_TRACES` names them all."""

    def recognises(self, values: dict[str, Any]) -> bool:
        """Whether the first row of a file is of this form."""
        ...

    def sessions(self, rows: Sequence[Row]) -> Sequence[TracedSession]:
        """The sessions of a file. Raises ValueError or KeyError for a row that is none, with its place."""
        ...


def waits(steps: Sequence[TracedStep]) -> dict[str, list[str]]:
    """Whom each step waited for: those that had ended when it began, without those for which these had waited."""
    found: dict[str, list[str]] = {}
    for step in steps:
        if step.after is not None:
            found[step.id] = step.after
            continue
        last: list[TracedStep] = []
        for one in sorted(steps, key=lambda one: (one.end_s, one.begin_s), reverse=True):
            if one is not step and _precedes(one, step) and not any(_precedes(one, other) for other in last):
                last.append(one)
        found[step.id] = [one.id for one in last]
    return found


def _precedes(one: TracedStep, other: TracedStep) -> bool:
    """Whether a step had ended before another began, and neither was in a branch beside the other's."""
    if one.end_s > other.begin_s or (one.begin_s, one.end_s) == (other.begin_s, other.end_s):
        return False
    for mine, others in zip(one.around, other.around, strict=False):
        if mine != others:
            return mine[2] <= others[1]
    return True


@dataclass(frozen=True, slots=True)
class Texts:
    """What the steps of one session are given that the trace does not have: text by `seed`, of exactly the lengths that
    were recorded. `most` cuts longer prompts, `most_out` longer answers; `block` makes the text of a block."""

    tokenizer: Tokenizer
    seed: str
    head: str = ""
    most: int | None = None
    most_out: int | None = None
    first_text: Any = None  # (step, tokens) -> str, of a form whose texts have blocks

    def of(self, tokens: int, what: str, head: str = "") -> str:
        """A text of so many tokens."""
        return text_of(max(tokens, 1), self.tokenizer.count, random.Random(f"{self.seed}/{what}"), head)


class TracedGraph:
    """Makes the steps of one session. `slower`: recorded tools, thinking and pauses are so many times as long."""

    def __init__(self, session: TracedSession, texts: Texts, slower: float = 1.0, exact_output: bool = False) -> None:
        self._session, self._texts, self._slower, self._exact = session, texts, slower, exact_output
        twice = [name for name, times in Counter(step.id for step in session.steps).items() if times > 1]
        if twice:
            raise ValueError(f"step '{twice[0]}' is there twice; each needs a name of its own, `name` may come again")
        self._after = waits(session.steps)
        self._by_id = {step.id: step for step in session.steps}
        self._said: dict[str, list[Message]] = {}  # by request: all that was said up to its answer
        self._tokens: dict[str, int] = {}  # likewise, how many tokens that was

    def build(self) -> list[Step]:
        """The steps, each after those that it waits for."""
        return [self._step(step) for step in _in_order(self._session.steps, self._after)]

    def _step(self, traced: TracedStep) -> Step:
        after = self._after[traced.id]
        since_s = max((self._by_id[one].end_s for one in after), default=self._session.at_s)
        step = Step(traced.id, traced.kind, list(after), name=traced.name, agent=traced.agent,
                    delay_s=round(max(0.0, traced.begin_s - since_s) * self._slower, 6))
        if traced.kind != "request":
            step.seconds = round((traced.end_s - traced.begin_s) * self._slower, 6)
            return step
        step.output_tokens = _cut(traced.output_tokens, self._texts.most_out)
        step.exact_output = self._exact and step.output_tokens is not None
        if traced.messages is not None:
            self._with_words(step, traced, traced.messages)
        else:
            self._with_lengths(step, traced)
        return step

    def _with_words(self, step: Step, traced: TracedStep, messages: list[Message]) -> None:
        """What was said goes on from the longest chat that it begins with, of the requests on the way to it: one beside
        it may have been asked the same, and not be answered yet."""
        before = [(len(self._said[name]), name) for name in self._on_the_way(traced)
                  if name in self._said and messages[:len(self._said[name])] == self._said[name]]
        length, step.chat = max(before, default=(0, None), key=lambda one: one[0])
        step.messages = messages[length:] or [{"role": "user", "content": ""}]
        step.answer = traced.answer
        if step.output_tokens is None and traced.answer is not None and traced.answer.get("content"):
            step.output_tokens = self._texts.tokenizer.count(str(traced.answer["content"]))
        if step.chat is None:
            step.messages = [_with_head(step.messages[0], self._texts.head), *step.messages[1:]]
            step.input_tokens = self._texts.tokenizer.chat_count(step.messages)
        if traced.answer is not None:
            self._said[step.id] = [*messages, traced.answer]

    def _with_lengths(self, step: Step, traced: TracedStep) -> None:
        """The last request before it of its agent is what it goes on from, where it is longer than what was said."""
        wanted = _cut(traced.input_tokens or 1, self._texts.most) or 1
        step.chat = next((one for one in self._earlier(traced) if self._tokens[one] < wanted), None)
        heard = self._tokens[step.chat] if step.chat is not None else 0
        if step.chat is None and self._texts.first_text is not None:
            text = self._texts.first_text(traced, wanted)
        else:
            text = self._texts.of(wanted - heard, step.id, "" if step.chat else self._texts.head)
        step.messages = [{"role": "user", "content": text}]
        step.input_tokens = wanted if step.chat is None else None
        answered = step.output_tokens or 0
        if answered:
            step.answer = self._texts.of(answered, f"{step.id}/answer")
        self._tokens[step.id] = wanted + answered

    def _earlier(self, traced: TracedStep) -> list[str]:
        """The requests of the same agent on the way to a step, the nearest first."""
        return [one for one in self._on_the_way(traced)
                if one in self._tokens and self._by_id[one].agent == traced.agent]

    def _on_the_way(self, traced: TracedStep) -> list[str]:
        """All steps that a step waits for, and that those wait for, the nearest first."""
        found = dict.fromkeys(self._after[traced.id])
        ways = deque(found)
        while ways:
            new = [before for before in self._after[ways.popleft()] if before not in found]
            found |= dict.fromkeys(new)
            ways += new
        return list(found)


def _in_order(steps: Sequence[TracedStep], after: dict[str, list[str]]) -> list[TracedStep]:
    """The steps, each after those that it waits for. Raises ValueError where some wait for each other, or for none of
    the session."""
    left, ordered, done = sorted(steps, key=lambda step: (step.begin_s, step.end_s)), [], set[str]()
    while left:
        step = next((one for one in left if done.issuperset(after[one.id])), None)
        if step is None:
            raise ValueError(f"step '{left[0].id}' waits for one that never ends: {', '.join(after[left[0].id])}")
        left.remove(step)
        ordered.append(step)
        done.add(step.id)
    return ordered


def _with_head(message: Message, head: str) -> Message:
    return {**message, "content": f"{head}{message['content']}"} if head and isinstance(
        message.get("content"), str) else message


def _cut(tokens: int | None, most: int | None) -> int | None:
    return tokens if tokens is None else max(1, tokens if most is None else min(tokens, most))
