"""Conversations of prepared prompts as they are held: what was really said in them, and how each one went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record
from fmload.model.session import Session
from fmload.worker.agent_chat import calls_of, empty_results, served_answer
from fmload.worker.session_log import SessionLog
from fmload.worker.slots import Lane

Message = dict[str, Any]


@dataclass(slots=True)
class _Held:
    """What has been said of one conversation: `messages`, which stand for the first `prepared` of its next prompt."""

    messages: list[Message] = field(default_factory=list)
    prepared: int = 0
    response_id: str | None = None  # the server's name for the last answer


class Conversations:
    """Of one worker. `keep` gets each conversation that ends, as a session."""

    def __init__(self, keep: Callable[[Session], None]) -> None:
        self._keep = keep
        self._held: dict[tuple[str, str], _Held] = {}  # by endpoint and conversation, those of served answers
        self._logs: dict[str, SessionLog] = {}
        self._under_way: set[str] = set()  # sessions of which a turn is
        self._cutting: set[str] = set()  # those that end with that turn, for their stage has closed

    def begin(self, lane: Lane, prompt: Prompt) -> tuple[Prompt, dict[str, Any]]:
        """The prompt as it is sent, and what its record notes: with `served`, earlier answers are those that the server
        gave. The tokens that were counted of a prompt hold for it alone."""
        session = f"{lane.stage}/{lane.endpoint}/{prompt.conversation}"
        if prompt.turn == 0:
            self._logs[session] = SessionLog(prompt.prompt_set, session=session)
        note: dict[str, Any] = {"turn": prompt.turn}
        if (log := self._logs.get(session)) is not None:
            log.thought(prompt.think_s)
            note |= {"session": session, "of": prompt.prompt_set, "step": log.steps} | log.spent()
            log.steps += 1
            self._under_way.add(session)
        return self._as_said(lane, prompt), note

    def _as_said(self, lane: Lane, prompt: Prompt) -> Prompt:
        if not prompt.served:
            return prompt
        held = self._held.get((lane.endpoint, prompt.conversation or ""))
        if prompt.turn == 0 or held is None:
            return prompt
        new = [message for message in (prompt.messages or [])[held.prepared:] if message.get("role") != "assistant"]
        goes_on = None if held.response_id is None else (held.response_id, len(held.messages))
        answered = any(message.get("role") == "tool" for message in new)
        results = [] if answered else empty_results(calls_of(held.messages))
        return replace(prompt, messages=[*held.messages, *results, *new], input_tokens=None, goes_on_from=goes_on)

    def ended(self, lane: Lane, prepared: Prompt, sent: Prompt, answer: tuple[Record, Reading], goes_on: bool) -> None:
        """A turn has ended. `prepared` is its prompt as it was dealt, `goes_on` whether another turn follows. A
        question without an answer is not part of what was said."""
        record, reading = answer
        key = (lane.endpoint, prepared.conversation or "")
        if prepared.served:
            held = self._held.setdefault(key, _Held())
            asked = sent.messages or []
            held.messages = [*asked, served_answer(reading)] if record.outcome == "ok" else _unasked(asked)
            held.response_id = reading.response_id if record.outcome == "ok" else None
            held.prepared = len(prepared.messages or [])
        session = f"{lane.stage}/{lane.endpoint}/{prepared.conversation}"
        if (log := self._logs.get(session)) is not None:
            log.add(record)
        self._under_way.discard(session)
        if not goes_on:
            self._held.pop(key, None)
            self._end(session, "finished")
        elif session in self._cutting:
            self._end(session, "cut")

    def cut(self) -> None:
        """The stage has closed: conversations that have turns to come are not finished in it, and end with the turn
        that is under way. What was said is kept for the stages in which they go on."""
        self._cutting |= self._under_way & self._logs.keys()
        for session in self._logs.keys() - self._under_way:
            self._end(session, "cut")

    def _end(self, session: str, outcome: Any) -> None:
        log = self._logs.pop(session, None)
        self._cutting.discard(session)
        if log is not None and (ended := log.ended(outcome)) is not None:
            self._keep(ended)


def _unasked(messages: list[Message]) -> list[Message]:
    """Without the questions at the end."""
    end = len(messages)
    while end and messages[end - 1].get("role") == "user":
        end -= 1
    return messages[:end]
