"""The client of a user with a scenario: single requests, and sessions that keep what was said."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import gevent
import orjson
from gevent import GreenletExit

from fmload.locust.answer import Answer, answer_of
from fmload.locust.inherited import Inherited
from fmload.model.outcome import NEITHER
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading, ToolCall
from fmload.model.record import Record
from fmload.model.session import Session
from fmload.worker.session_log import SessionLog

Messages = str | Sequence[Mapping[str, Any]]
Send = Callable[[Prompt, dict[str, Any]], tuple[Record, Reading]]

# The session in which the running greenlet is; greenlets that it starts inherit it.
_session: Inherited[Chat | None] = Inherited(None)


class RequestLost(Exception):
    """A request of a scenario failed, and the scenario asked for an exception: outcome and message."""


class Client:
    """`self.client` of a user. `send` measures one prompt; `keep` keeps a session that has ended, `begin` is
    told of one that begins. `flow`: exceptions with which a task ends itself early, and which are no failure. `tenant`:
    whose requests they are, where a request does not say."""

    def __init__(self, user: str, send: Send, keep: Callable[[Session | None], None], raises: bool = False,
                 flow: tuple[type[BaseException], ...] = (),
                 begin: Callable[[SessionLog], None] = lambda _: None, tenant: str | None = None) -> None:
        self.user = user
        self._tenant = tenant
        self.flow = flow
        self._send = send
        self._keep = keep
        self._begin = begin
        self._raises = raises

    def chat(self, messages: Messages, *, name: str = "chat", max_tokens: int | None = None,
             exact_tokens: bool = False, raise_for_failure: bool | None = None, tenant: str | None = None,
             **parameters: Any) -> Answer:
        """One measured request: a chat in OpenAI's form, or one question as text. Waits for the whole answer.

        `name` is the request's name in report and statistics. `exact_tokens`: ask for exactly `max_tokens`. `tenant`:
        on whose behalf, where not the user's own. Any other argument is an inference parameter, over those of the
        endpoint (`temperature`, `tools`, `model` …). A request that fails is a record and an answer that is not `ok`;
        with `raise_for_failure` it raises RequestLost.
        """
        said = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        chat = _session.get()
        turn = chat.turn if chat is not None else 0
        prompt = Prompt(id=_digest(said), prompt_set="", messages=[dict(message) for message in said],
                        output_tokens=max_tokens, exact_output=exact_tokens and max_tokens is not None,
                        parameters=parameters, conversation=chat.log.session if chat else None, turn=turn,
                        tenant=tenant or self._tenant)
        answer = answer_of(*self._measured(prompt, name, chat))
        raises = self._raises if raise_for_failure is None else raise_for_failure
        if raises and not answer.ok and answer.outcome not in NEITHER:
            raise RequestLost(f"{name}: {answer.outcome}: {answer.error or 'no message'}")
        return answer

    def _measured(self, prompt: Prompt, name: str, chat: Chat | None) -> tuple[Record, Reading]:
        note: dict[str, Any] = {"name": name, "user": self.user}
        if chat is None:
            return self._send(prompt, note)
        note |= {"session": chat.log.session, "of": chat.log.name, "turn": prompt.turn, "step": chat.log.steps,
                 "goes_on": chat.goes_on(prompt.messages or []), **chat.log.spent()}
        chat.log.steps += 1
        record, reading = self._send(prompt, note)
        chat.log.add(record)
        if record.outcome == "ok":
            chat.sent.append((note["step"], prompt.messages or []))
        return record, reading

    @contextmanager
    def session(self, name: str = "session", system: str | None = None) -> Iterator[Chat]:
        """Requests that belong together, as a `with` block: all that is sent in it is of one session, that of greenlets
        which it starts included. `system`: the first message of its chat."""
        log = SessionLog(name, self.user)
        self._begin(log)
        with Chat(self, log, system, self._keep) as chat:
            yield chat


class Chat:
    """One session. `messages` is what has been said in it, the served answers and their tool calls included.

    `ask` adds a question and its answer. A question without an answer is taken out again: the next turn goes on from
    what was really said.
    """

    def __init__(self, client: Client, log: SessionLog, system: str | None,
                 keep: Callable[[Session | None], None]) -> None:
        self.messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system is not None else []
        self.turn = 0
        self.log = log
        self.sent: list[tuple[int, list[dict[str, Any]]]] = []  # requests that ended well, by their number
        self._client = client
        self._keep = keep

    def ask(self, content: Any = None, *, name: str | None = None, **more: Any) -> Answer:
        """The next turn: a question, or, with none, what has been said so far (tool results, say). `more` as for
        `client.chat`; the name is the session's where none is given."""
        said = [] if content is None else [{"role": "user", "content": content}]
        answer = self._client.chat([*self.messages, *said], name=name or self.log.name, **more)
        if answer.ok:
            self.messages += [*said, answer.message]
        self.turn += 1
        return answer

    def goes_on(self, messages: Sequence[Mapping[str, Any]]) -> int | None:
        """The request of the session with whose whole prompt these messages begin, the longest; None where they begin
        with none."""
        held = [(len(said), step) for step, said in self.sent if list(messages[:len(said)]) == said]
        return max(held)[1] if held else None

    def tool_result(self, call: ToolCall, content: Any) -> None:
        """What a tool gave for a call of the last answer, as a message."""
        text = content if isinstance(content, str) else orjson.dumps(content, default=str).decode()
        self.messages.append({"role": "tool", "tool_call_id": call.id, "name": call.name, "content": text})

    @contextmanager
    def tool(self, name: str = "tool") -> Iterator[None]:
        """A tool is at work while the block runs: its time is the session's, and of no request."""
        with self.log.tool():
            yield

    def think(self, seconds: float) -> None:
        """Wait as a person does who reads and types."""
        with self.log.thinking():
            gevent.sleep(seconds)

    def __enter__(self) -> Self:
        self._outer = _session.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        _session.set(self._outer)
        if kind is not None and issubclass(kind, GreenletExit):
            self._keep(self.log.ended("cut"))
        else:
            self._keep(self.log.ended("finished" if kind is None or issubclass(kind, self._client.flow) else "failed"))


def _digest(messages: Sequence[Mapping[str, Any]]) -> str:
    """The id of a prompt by what it says: one that is sent twice has the same."""
    return hashlib.blake2b(orjson.dumps(messages, default=str), digest_size=8).hexdigest()
