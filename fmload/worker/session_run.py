"""One session of a prepared graph as it is run: each step begins when the last one that it waits for has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gevent
from gevent import GreenletExit
from gevent.pool import Group

from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record
from fmload.model.session import Session
from fmload.model.step import STEP_OF, Step, retry_pause_s, steps_of
from fmload.worker.agent_chat import AgentChat
from fmload.worker.session_log import SessionLog

NS = 1e9

# Sends a prompt that was due at an instant, and waits for its end; None where it was killed before anything was sent.
Ask = Callable[[Prompt, int, dict[str, Any]], tuple[Record, Reading] | None]


@dataclass(frozen=True, slots=True)
class _Ended:
    """When a step ended, what its last attempt is called, and the seconds in tools and thinking since a request."""

    at_ns: int
    span: str
    tools_s: float = 0.0
    thinking_s: float = 0.0


class SessionRun:
    """`run` runs the session; `ask` sends its requests, `keep` gets the session when it has ended, `is_open` says
    whether requests may still be sent."""

    def __init__(self, prompt: Prompt, session: str, ask: Ask, keep: Callable[[Session], None],
                 is_open: Callable[[], bool]) -> None:
        self.log = SessionLog(prompt.prompt_set, session=session)
        self.asking = 0  # requests under way
        self._prompt, self._ask, self._keep, self._is_open = prompt, ask, keep, is_open
        self._steps = steps_of(prompt)
        self._chat = AgentChat(prompt.served)
        self._numbers: dict[str, int | None] = {}  # by step, the request whose prompt those that go on from it hold
        self._ended: dict[str, _Ended] = {}
        self._begun: set[str] = set()
        self._branches = Group()
        self._over = False  # a step was lost, or the stage has closed
        self._outcome: Any = "finished"
        self._due_ns = 0

    def run(self, due_ns: int) -> None:
        """The whole session, of which the first step is due at an instant. A greenlet that is killed cuts it, and takes
        along the requests under way."""
        self._due_ns = due_ns
        try:
            first, *others = self._ready(self._steps)
            for step in others:
                self._branches.spawn(self._follow, step)
            self._follow(first)
            self._branches.join()
        except GreenletExit:
            self._over, self._outcome = True, "cut"
        finally:
            self._branches.kill()
            self._end()

    def close(self) -> None:
        """The stage has closed: nothing more is sent."""
        self._stop("cut")

    def _end(self) -> None:
        if self._outcome == "finished" and len(self._ended) < len(self._steps):
            self._outcome = "failed"  # a branch broke off
        if (session := self.log.ended(self._outcome)) is not None:
            self._keep(session)

    def _stop(self, outcome: Any) -> None:
        if not self._over:
            self._over, self._outcome = True, outcome

    def _ready(self, steps: Sequence[Step]) -> list[Step]:
        """Those steps whose turn has come, marked as begun."""
        ready = [step for step in steps
                 if step.id not in self._begun and all(before in self._ended for before in step.after)]
        self._begun.update(step.id for step in ready)
        return ready

    def _follow(self, step: Step) -> None:
        """A step, and one after the other that waited for it; those beside it get greenlets of their own."""
        following = [step]
        while following and not self._over:
            for one in following[1:]:
                self._branches.spawn(self._follow, one)
            step = following[0]
            if (ended := self._do(step)) is None:
                return
            self._ended[step.id] = ended
            following = self._ready([one for one in self._steps if step.id in one.after])
        if len(self._ended) == len(self._steps) and self._outcome == "cut":
            self._outcome = "finished"  # the stage closed in the last step

    def _do(self, step: Step) -> _Ended | None:
        """Do a step; None where the session ends with it."""
        before = max((self._ended[one] for one in step.after), key=lambda one: one.at_ns,
                     default=_Ended(self._due_ns, ""))
        after = tuple(self._ended[one].span for one in step.after)
        _sleep_until(before.at_ns, step.delay_s)
        if step.kind == "request":
            return self._request(step, before, after)
        with (self.log.tool if step.kind == "tool" else self.log.thinking)(step.id, after):
            gevent.sleep(step.seconds)
        tool = step.kind == "tool"
        return _Ended(time.monotonic_ns(), step.id, before.tools_s + step.seconds * tool,
                      before.thinking_s + step.seconds * (not tool))

    def _request(self, step: Step, before: _Ended, after: tuple[str, ...]) -> _Ended | None:
        """A request, sent again as often as the step says; None where it was lost."""
        asked = self._chat.asks(step)
        prompt = Prompt(
            f"{self._prompt.id}{STEP_OF}{step.id}", self._prompt.prompt_set, messages=asked,
            input_tokens=step.input_tokens, tokenizer=self._prompt.tokenizer, output_tokens=step.output_tokens,
            exact_output=step.exact_output, parameters=step.parameters, conversation=self.log.session, turn=step.turn,
            tenant=self._prompt.tenant, goes_on_from=self._chat.held(step))
        due_ns = before.at_ns + int(step.delay_s * NS)
        for attempt in range(step.retries + 1):
            if not self._is_open():
                self._stop("cut")
                return None
            span = f"{step.id}#{attempt}"
            note = self._note(step, before, attempt)
            ended = self._sent(prompt, due_ns, note)
            if ended is None:
                self._stop("cut")
                return None
            record, reading = ended
            last = attempt == step.retries or record.outcome in ("censored", "cancelled")
            self.log.add(record, span, after, made_good=not last)
            if record.outcome == "ok":
                self._chat.answered(step, asked, reading)
                self._numbers[step.id] = note["step"]
                return _Ended(record.end_ns or time.monotonic_ns(), span)
            if last:
                return self._lost(step, asked, span)
            gevent.sleep(retry_pause_s(step.retry_after_s, attempt))
            prompt = replace(prompt, goes_on_from=None)  # whatever the server holds, this one needs none of it
            due_ns, after = time.monotonic_ns(), (span,)
        return None

    def _lost(self, step: Step, asked: list[dict[str, Any]], span: str) -> _Ended | None:
        if not step.optional:
            self._stop("failed" if self._is_open() else "cut")
            return None
        self._chat.unanswered(step, asked)
        self._numbers[step.id] = None if step.chat is None else self._numbers.get(step.chat)
        return _Ended(time.monotonic_ns(), span)

    def _sent(self, prompt: Prompt, due_ns: int, note: dict[str, Any]) -> tuple[Record, Reading] | None:
        self.asking += 1
        try:
            return self._ask(prompt, due_ns, note)
        finally:
            self.asking -= 1

    def _note(self, step: Step, before: _Ended, attempt: int) -> dict[str, Any]:
        """What the record says of its place in the session."""
        note: dict[str, Any] = {"session": self.log.session, "of": self.log.name, "turn": step.turn,
                                "step": self.log.steps}
        self.log.steps += 1
        if step.name:
            note |= {"name": step.name, "user": step.agent or self.log.name}
        if attempt:
            note["attempt"] = attempt
        note["goes_on"] = None if step.chat is None else self._numbers.get(step.chat)
        spent = {"tools_s": before.tools_s, "thinking_s": before.thinking_s}
        return note | {key: round(value, 6) for key, value in spent.items() if value}


def _sleep_until(since_ns: int, delay_s: float) -> None:
    """Sleep a delay that began at an instant."""
    if delay_s:
        gevent.sleep(max(0.0, delay_s - (time.monotonic_ns() - since_ns) / NS))
