"""The chats of one session as they are said: what each request is sent, from what was really answered before. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fmload.model.reading import Reading, ToolCall, calls_json
from fmload.model.step import SERVED, Step

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Said:
    """A request that has ended: what it was sent, and what was answered; None where there was no answer. `response_id`:
    the server's name for its answer, where that is what later requests repeat."""

    asked: list[Message]
    answer: Message | None
    response_id: str | None = None


class AgentChat:
    """What has been said in one session, by step. `served`: later requests repeat what the server answered; else what
    was made up or recorded."""

    def __init__(self, served: bool) -> None:
        self._served = served
        self._said: dict[str, _Said] = {}

    def asks(self, step: Step) -> list[Message]:
        """The messages of a request: the chat that it goes on with, and what is new."""
        before = self._said.get(step.chat) if step.chat is not None else None
        if before is None:
            return self._new(step.messages, ())
        said = _unasked(before.asked) if before.answer is None else [*before.asked, before.answer]
        return [*said, *self._new(step.messages, calls_of(said))]

    def held(self, step: Step) -> tuple[str, int] | None:
        """The server's name for the answer that a request goes on from, and how many of its messages the server holds
        by it; None where it begins a chat, or what was said is not what the server holds."""
        before = self._said.get(step.chat) if step.chat is not None else None
        if before is None or before.response_id is None:
            return None
        return before.response_id, len(before.asked) + 1

    def answered(self, step: Step, asked: list[Message], reading: Reading) -> None:
        """A request has been answered."""
        if self._served or step.answer is None:
            self._said[step.id] = _Said(asked, served_answer(reading), reading.response_id)
        else:
            said = step.answer if isinstance(step.answer, dict) else {"role": "assistant", "content": step.answer}
            self._said[step.id] = _Said(asked, said)

    def unanswered(self, step: Step, asked: list[Message]) -> None:
        """A request was lost, and its session goes on: the question is no part of what was said."""
        self._said[step.id] = _Said(asked, None)

    def _new(self, messages: Sequence[Message], calls: Sequence[tuple[str, str]]) -> list[Message]:
        """Messages as they are sent. Results of tools belong to the calls of the answer before, in their order; one
        that nobody called for is a message of the user. A call that nothing answers gets an empty result."""
        open_calls, results, others = list(calls), [], []
        for message in messages:
            if message.get("role") != "tool":
                others.append(self._with_answer(message))
                continue
            call = _call_of(message, open_calls)
            if call is None:
                others.append({"role": "user", "content": f"{message.get('name', 'tool')}: {message['content']}"})
            else:
                open_calls.remove(call)
                results.append({**message, "tool_call_id": call[0]})
        return [*results, *empty_results(open_calls), *_joined(others)]

    def _with_answer(self, message: Message) -> Message:
        """A message that says what another step was answered."""
        if SERVED not in message:
            return message
        plain = {key: value for key, value in message.items() if key != SERVED}
        said = self._said.get(message[SERVED])
        return plain if said is None or said.answer is None else {**plain, "content": said.answer["content"]}


def served_answer(reading: Reading) -> Message:
    """What a server answered, as the next request repeats it."""
    return answer_message(reading.said("answer"), reading.tool_calls)


def answer_message(text: str, calls: Sequence[ToolCall]) -> Message:
    """An answer as the next request repeats it: one that is strict refuses arguments that were cut off."""
    return {"role": "assistant", "content": text, **calls_json([_whole(call) for call in calls])}


def calls_of(said: Sequence[Message]) -> list[tuple[str, str]]:
    """Id and name of the calls with which a chat ends."""
    return [(call["id"], call["function"]["name"]) for call in (said[-1].get("tool_calls") or () if said else ())]


def empty_results(calls: Sequence[tuple[str, str]]) -> list[Message]:
    """Results of calls that nothing answers: a server refuses a chat that goes on without them."""
    return [{"role": "tool", "tool_call_id": identity, "name": name, "content": ""} for identity, name in calls]


def _call_of(result: Message, calls: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """The call that a result is of: by its id, else by the tool's name."""
    return next((one for one in calls if one[0] == result.get("tool_call_id")),
                next((one for one in calls if one[1] == result.get("name")), None))


def _whole(call: ToolCall) -> ToolCall:
    """A call whose arguments were cut off in the middle would be refused when it is sent back."""
    try:
        orjson.loads(call.arguments)
    except ValueError:
        return call._replace(arguments="{}")
    return call


def _joined(messages: list[Message]) -> list[Message]:
    """Messages of the user in a row as one: many chat templates take no two."""
    joined: list[Message] = []
    for message in messages:
        last = joined[-1] if joined else None
        plain = message.get("role") == "user" and isinstance(message.get("content"), str)
        if plain and last is not None and last.get("role") == "user" and isinstance(last.get("content"), str):
            joined[-1] = {**last, "content": f"{last['content']}\n\n{message['content']}"}
        else:
            joined.append(message)
    return joined


def _unasked(messages: list[Message]) -> list[Message]:
    """Without what was asked at the end."""
    end = len(messages)
    while end and messages[end - 1].get("role") in ("user", "tool"):
        end -= 1
    return messages[:end]
