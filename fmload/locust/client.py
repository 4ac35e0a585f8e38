"""The client of a user with a scenario: single requests, and sessions that keep what was said."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import gevent
import orjson
from gevent import GreenletExit

from fmload.endpoints.base import Made
from fmload.locust.answer import Answer, answer_of
from fmload.locust.inherited import Inherited
from fmload.model.outcome import NEITHER
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading, ToolCall
from fmload.model.record import Record
from fmload.model.session import Session
from fmload.worker.agent_chat import served_answer
from fmload.worker.session_log import SessionLog

Messages = str | Sequence[Mapping[str, Any]]


class Send(Protocol):
    """Measures one prompt. `makes`: what is wanted; vectors and rankings of an endpoint that makes them, by its name
    where there are several."""

    def __call__(self, prompt: Prompt, note: dict[str, Any], makes: Made = "text",
                 endpoint: str | None = None) -> tuple[Record, Reading]: ...


# The session in which the running greenlet is; greenlets that it starts inherit it.
_session: Inherited[Chat | None] = Inherited(None)


class RequestLost(Exception):
    """A request of a scenario failed, and the scenario asked for an exception: outcome and message."""


class Client:
    """`self.client` of a user. `send` measures one prompt; `keep` keeps a session that has ended, `begin` is told of
    one that begins, `at` tells the stage and endpoint of the user. `flow`: exceptions with which a task ends itself
    early, and which are no failure. `tenant`: whose requests they are, where a request does not say."""

    def __init__(self, user: str, send: Send, keep: Callable[[Session | None], None], raises: bool = False,
                 flow: tuple[type[BaseException], ...] = (),
                 begin: Callable[[SessionLog], None] = lambda _: None, tenant: str | None = None,
                 at: Callable[[], tuple[int, str] | None] = lambda: None) -> None:
        self.user = user
        self._tenant = tenant
        self.flow = flow
        self._send = send
        self._keep = keep
        self._begin = begin
        self._at = at
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
        prompt = Prompt(id=_digest(said), prompt_set="", messages=[dict(message) for message in said],
                        output_tokens=max_tokens, exact_output=exact_tokens and max_tokens is not None,
                        parameters=parameters)
        return self._answered(prompt, name, raise_for_failure, tenant, self._measured)

    def embed(self, inputs: str | Sequence[str], *, name: str = "embed", endpoint: str | None = None,
              raise_for_failure: bool | None = None, tenant: str | None = None, **parameters: Any) -> Answer:
        """One measured request for the vectors of a text, or of several: `answer.vectors`, one a text. Waits for it.

        It goes to the run's endpoint for embeddings, by the name `endpoint` where there are several. Raises FmloadError
        where the run has none. The rest as for `chat`.
        """
        texts = [inputs] if isinstance(inputs, str) else list(inputs)
        prompt = Prompt(id=_digest(texts), prompt_set="", inputs=texts, parameters=parameters)
        return self._answered(prompt, name, raise_for_failure, tenant,
                              partial(self._beside, "vectors", endpoint))

    def rerank(self, query: str, documents: Sequence[str], *, name: str = "rerank", endpoint: str | None = None,
               raise_for_failure: bool | None = None, tenant: str | None = None, **parameters: Any) -> Answer:
        """One measured request for a ranking of documents by a query: `answer.ranking`, the best first. Waits for it.

        It goes to the run's endpoint for rankings, as `embed` does to that for embeddings. The rest as for `chat`.
        """
        prompt = Prompt(id=_digest([query, *documents]), prompt_set="", text=query, inputs=list(documents),
                        parameters=parameters)
        return self._answered(prompt, name, raise_for_failure, tenant,
                              partial(self._beside, "rankings", endpoint))

    def _answered(self, prompt: Prompt, name: str, raise_for_failure: bool | None, tenant: str | None,
                  measured: Callable[[Prompt, str, Chat | None], tuple[Record, Reading]]) -> Answer:
        chat = _session.get()
        if chat is not None:
            prompt.conversation, prompt.turn = chat.log.session, chat.turn
        prompt.tenant = tenant or self._tenant
        answer = answer_of(*measured(prompt, name, chat))
        raises = self._raises if raise_for_failure is None else raise_for_failure
        if raises and not answer.ok and answer.outcome not in NEITHER:
            raise RequestLost(f"{name}: {answer.outcome}: {answer.error or 'no message'}")
        return answer

    def _measured(self, prompt: Prompt, name: str, chat: Chat | None) -> tuple[Record, Reading]:
        if chat is None:
            return self._send(prompt, {"name": name, "user": self.user})
        messages = prompt.messages or []
        note = self._note(prompt, name, chat, chat.goes_on(messages))
        prompt.goes_on_from = chat.held_by_server(messages)
        record, reading = self._send(prompt, note)
        chat.log.add(record)
        if record.outcome == "ok":
            chat.sent.append(Sent(note["step"], messages, served_answer(reading), reading.response_id))
        return record, reading

    def _beside(self, makes: Made, endpoint: str | None, prompt: Prompt, name: str,
                chat: Chat | None) -> tuple[Record, Reading]:
        note = {"name": name, "user": self.user} if chat is None else self._note(prompt, name, chat, None)
        record, reading = self._send(prompt, note, makes, endpoint)
        if chat is not None:
            chat.log.add(record, at=self._at())
        return record, reading

    def _note(self, prompt: Prompt, name: str, chat: Chat, goes_on: int | None) -> dict[str, Any]:
        """What the record of a request of a session says of its place in it."""
        note = {"name": name, "user": self.user, "session": chat.log.session, "of": chat.log.name, "turn": prompt.turn,
                "step": chat.log.steps, "goes_on": goes_on, **chat.log.spent()}
        chat.log.steps += 1
        return note

    @contextmanager
    def session(self, name: str = "session", system: str | None = None) -> Iterator[Chat]:
        """Requests that belong together, as a `with` block: all that is sent in it is of one session, that of greenlets
        which it starts included. `system`: the first message of its chat."""
        log = SessionLog(name, self.user)
        self._begin(log)
        with Chat(self, log, system, self._keep) as chat:
            yield chat


class Sent(NamedTuple):
    """A request of a session that ended well: its number, what it was asked, its answer as a message, and the server's
    name for that."""

    step: int
    asked: list[dict[str, Any]]
    answer: dict[str, Any]
    response_id: str | None


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
        self.sent: list[Sent] = []  # requests that ended well
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
        held = [(len(one.asked), one.step) for one in self.sent if list(messages[:len(one.asked)]) == one.asked]
        return max(held)[1] if held else None

    def held_by_server(self, messages: Sequence[Mapping[str, Any]]) -> tuple[str, int] | None:
        """The server's name for the answer with which these messages go on, and how many of them it holds by it; None
        where they go on from none."""
        held = [(size, one.response_id) for one in self.sent if one.response_id is not None
                and (size := len(one.asked) + 1) < len(messages) and list(messages[:size]) == [*one.asked, one.answer]]
        size, response = max(held, default=(0, ""))
        return (response, size) if size else None

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


def _digest(messages: Sequence[Any]) -> str:
    """The id of a prompt by what it says: one that is sent twice has the same."""
    return hashlib.blake2b(orjson.dumps(messages, default=str), digest_size=8).hexdigest()
