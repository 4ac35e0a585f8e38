"""From an agent's steps as they are written to one session's graph: lengths, delays and failures are drawn here."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config import limits
from fmload.config.delays import DelaySpec
from fmload.config.lengths import Distribution, Length
from fmload.model.step import SERVED, Step, retry_pause_s
from fmload.prompts.agent_spec import AgentSpec, StepSpec, ToolSpec
from fmload.prompts.lengths import draw_length
from fmload.prompts.synthetic import text_of
from fmload.prompts.tokenizer import Tokenizer

_RESULT_TOKENS = Distribution(kind="fixed", mean=50)
_ANSWER_TOKENS = Distribution(kind="fixed", mean=100)  # of one that is made up, where no length is asked for
_NOTHING = "The tool gave no result."

Message = dict[str, Any]


@dataclass(slots=True)
class _Chat:
    """A chat as far as it is written: its last request, and what has been added since."""

    agent: str = ""
    last: str | None = None
    new: list[Message] = field(default_factory=list)

    def fork(self, agent: str) -> _Chat:
        """One that has heard the same so far."""
        return _Chat(agent, self.last, list(self.new))


class Graph:
    """The steps of one session. What is drawn hangs on `seed` alone, each step by its own place in the list: a length
    that is changed changes no other step."""

    def __init__(self, spec: AgentSpec, tokenizer: Tokenizer, seed: str, *, made_up: bool = False,
                 tool_calls: str = "simulated", output_tokens: Length | None = None, exact_output: bool = False,
                 head: str = "") -> None:
        """`made_up`: make up the answers that later steps repeat. `output_tokens`: of requests that say none. `head`:
        what the first question begins with."""
        self.steps: list[Step] = []
        self._spec, self._tokenizer, self._seed = spec, tokenizer, seed
        self._made_up, self._tool_calls = made_up, tool_calls
        self._output_tokens, self._exact, self._head = output_tokens, exact_output, head
        self._names: Counter[str] = Counter()
        self._taken: set[str] = set()
        self._requests: dict[str, Step] = {}
        self._called: dict[str, list[str]] = {}  # by request, the tools that are called after it

    def build(self) -> list[Step]:
        """All steps, each after those that it waits for."""
        chat = _Chat(new=self._system(self._spec.system, self._spec.system_tokens, "system"))
        self._sequence(self._spec.steps or [], chat, [], "")
        if self._tool_calls != "simulated":
            self._offer_tools()
        return self.steps

    def _sequence(self, steps: list[StepSpec], chat: _Chat, after: list[str], place: str) -> list[str]:
        """Write steps one after the other; returns those for whose end the next one waits."""
        for number, step in enumerate(steps):
            after = self._step(step, chat, after, f"{place}/{number}")
        return after

    def _step(self, spec: StepSpec, chat: _Chat, after: list[str], place: str) -> list[str]:
        if spec.ask is not None:
            return self._ask(spec, chat, after, place)
        if spec.tool is not None:
            return self._tool(spec, chat, after, place)
        if spec.think is not None:
            return [self._add(Step(self._id("think"), "think", after, agent=chat.agent,
                                   seconds=spec.think.draw_s(self._draw(place))))]
        if spec.parallel is not None:
            return self._parallel(spec.parallel, chat, after, place)
        if spec.repeat is not None:
            for time in range(draw_length(spec.repeat, self._draw(place))):
                after = self._sequence(spec.steps or [], chat, after, f"{place}/{time}")
            return after
        return self._sub_agent(spec, chat, after, place)

    def _ask(self, spec: StepSpec, chat: _Chat, after: list[str], place: str) -> list[str]:
        length = spec.output_tokens or self._output_tokens
        output = draw_length(length, self._draw(place, "output")) if length else None
        messages = [*chat.new, *self._question(spec, place)]
        if not messages and chat.last is None:
            messages = [{"role": "user", "content": spec.ask or ""}]
        step = Step(self._id(spec.ask or "ask"), "request", after, name=spec.ask or "", agent=chat.agent,
                    chat=chat.last, messages=messages, output_tokens=output,
                    exact_output=self._exact and output is not None,
                    retries=spec.retries or 0, retry_after_s=spec.retry_after_s or 0.0)
        if chat.last is None:
            said = [{key: value for key, value in message.items() if key != SERVED} for message in messages]
            step.input_tokens = self._tokenizer.chat_count(said)
        if self._made_up:
            step.answer = self._text(output or draw_length(_ANSWER_TOKENS, self._draw(place)), place, "answer")
        chat.last, chat.new = step.id, []
        self._requests[step.id] = step
        return [self._add(step)]

    def _question(self, spec: StepSpec, place: str) -> list[Message]:
        """What is asked: a message, or none."""
        if spec.text is None and spec.input_tokens is None:
            return []
        head, self._head = self._head, ""
        if spec.text is not None:
            return [{"role": "user", "content": head + spec.text}]
        assert spec.input_tokens is not None
        length = draw_length(spec.input_tokens, self._draw(place, "input"))
        return [{"role": "user", "content": self._text(length, place, "input", head)}]

    def _tool(self, spec: StepSpec, chat: _Chat, after: list[str], place: str) -> list[str]:
        name = spec.tool or "tool"
        tool = self._spec.tools.get(name) or ToolSpec(takes=spec.takes or DelaySpec(kind="fixed", mean_s=0.0))
        seconds, well = self._calls(spec, tool, self._draw(place))
        step = Step(self._id(name), "tool", after, name=name, agent=chat.agent, seconds=seconds)
        length = draw_length(spec.result_tokens or tool.result_tokens or _RESULT_TOKENS, self._draw(place, "result"))
        chat.new.append({"role": "tool", "name": name,
                         "content": self._text(length, place, "result") if well else _NOTHING})
        if chat.last is not None:
            self._called.setdefault(chat.last, []).append(name)
        return [self._add(step)]

    @staticmethod
    def _calls(spec: StepSpec, tool: ToolSpec, draw: random.Random) -> tuple[float, bool]:
        """Seconds that the calls of a tool take, those that fail and the pauses before the next included; and whether
        the last one went well."""
        takes, fails = spec.takes or tool.takes, tool.fails if spec.fails is None else spec.fails
        retries = tool.retries if spec.retries is None else spec.retries
        pause_s = tool.retry_after_s if spec.retry_after_s is None else spec.retry_after_s
        seconds = 0.0
        for call in range(retries + 1):
            seconds += takes.draw_s(draw)
            if draw.random() >= fails:
                return seconds, True
            seconds += retry_pause_s(pause_s, call) if call < retries else 0.0
        return seconds, False

    def _parallel(self, branches: list[list[StepSpec] | StepSpec], chat: _Chat, after: list[str],
                  place: str) -> list[str]:
        """Branches side by side. Results of tools and answers of agents are added to the chat in the order in which
        they are written. A branch that asks in no agent of its own has a fork of the chat."""
        ends: list[str] = []
        for number, branch in enumerate(branches):
            steps, at = (branch if isinstance(branch, list) else [branch]), f"{place}/{number}"
            if any(_asks(step) for step in steps):
                fork = chat.fork(chat.agent)
                ends += self._sequence(steps, fork, after, at)
                chat.new.append(self._answer_of(fork))
            else:
                ends += self._sequence(steps, chat, after, at)
        return list(dict.fromkeys(ends))

    def _sub_agent(self, spec: StepSpec, chat: _Chat, after: list[str], place: str) -> list[str]:
        own = _Chat(spec.agent or "", new=self._system(spec.system, spec.system_tokens, place))
        after = self._sequence(spec.steps or [], own, after, place)
        if own.last is not None:
            chat.new.append(self._answer_of(own))
        return after

    def _answer_of(self, chat: _Chat) -> Message:
        """What a chat came to, as a message to another."""
        assert chat.last is not None
        return {"role": "user", "content": str(self._requests[chat.last].answer or ""), SERVED: chat.last}

    def _offer_tools(self) -> None:
        """Tell the server of the tools in each request of an agent that calls some, and which of them to call."""
        used: dict[str, set[str]] = {}
        for request, names in self._called.items():
            used.setdefault(self._requests[request].agent, set()).update(names)
        for step in self._requests.values():
            if step.agent in used:
                step.parameters = self._offered(sorted(used[step.agent]), self._called.get(step.id, []))

    def _offered(self, tools: list[str], called: list[str]) -> dict[str, Any]:
        offered: dict[str, Any] = {"tools": [{"type": "function", "function": self._definition(name)}
                                             for name in tools]}
        if self._tool_calls == "free":
            return offered
        one: Any = {"type": "function", "function": {"name": called[0]}} if called else "none"
        return {**offered, "tool_choice": "required" if len(set(called)) > 1 else one}

    def _definition(self, name: str) -> dict[str, Any]:
        tool = self._spec.tools.get(name)
        return tool.definition if tool is not None and tool.definition else {"name": name, "parameters": {
            "type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}}

    def _system(self, text: str | None, tokens: int | None, place: str) -> list[Message]:
        """A system message, which all sessions share."""
        if tokens is not None:
            shared = random.Random(f"{self._seed.rpartition('/')[0]}/{place}/system")
            text = text_of(tokens, self._tokenizer.count, shared)
        return [] if text is None else [{"role": "system", "content": text}]

    def _text(self, length: int, place: str, what: str, head: str = "") -> str:
        return text_of(length, self._tokenizer.count, self._draw(place, f"{what} text"), head)

    def _draw(self, place: str, what: str = "") -> random.Random:
        return random.Random(f"{self._seed}{place}/{what}")

    def _add(self, step: Step) -> str:
        if len(self.steps) == limits.STEPS:
            raise FmloadError(f"an agent's session would hold more than {limits.STEPS:,} steps",
                              hint="give the steps under repeat fewer times, or fewer repeats within each other")
        self.steps.append(step)
        return step.id

    def _id(self, name: str) -> str:
        """A name of its own for a step: its name, with a number where that is taken."""
        identity = name
        while identity in self._taken:
            self._names[name] += 1
            identity = f"{name}-{self._names[name] + 1}"
        self._taken.add(identity)
        return identity


def _asks(step: StepSpec) -> bool:
    """Whether a step asks in the chat that it stands in."""
    if step.parallel is not None:
        return any(_asks(one) for branch in step.parallel for one in (branch if isinstance(branch, list) else [branch]))
    return step.ask is not None or (step.repeat is not None and any(map(_asks, step.steps or [])))
