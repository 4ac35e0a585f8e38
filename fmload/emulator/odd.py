"""Odd forms: what real servers do to the protocols they speak, over real sockets, with the truth in the log.

A form is one function in the table `fmload.plugins.FORMS`. It gets every message of an answer before it goes out, and
gives what is sent in its place: JSON values, or bytes that go out as they are. `Form` says what is right about it.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from fmload.emulator import eventstream
from fmload.emulator.dialect import Dialect, Usage, Whole

Message = dict[str, Any]
Moment = Literal["opening", "token", "closing", "whole"]
Of = Literal["chat", "container", "converse", "invoke", "inputs", "transcript", "speech", "images"]


@dataclass(slots=True)
class Part:
    """Where in its answer a message stands. `tokens` of `usage` have been made when it goes out; `last`: with the
    finish reason. `kept` is the form's own, for the length of one answer."""

    moment: Moment
    usage: Usage
    text: str = ""
    reasoning: bool = False
    last: bool = False
    kept: dict[str, Any] = field(default_factory=dict)


Change = Callable[[Message, Part], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Form:
    """One odd form. `outcome` is what a client should record, `told` whether the counts that it is told are true.

    `of`: what it is a form of: OpenAI's chat (also in a SageMaker container), TGI's lines in a container, Bedrock's
    Converse, the models' own bodies that InvokeModel passes through, whole answers to texts to embed or rank,
    transcripts, sound (whose messages are bytes), or answers of images.
    `with_last`: the finish reason comes with the last text. `spoken`: the tokens' texts are shown. `hidden`: so many
    tokens are thought and not shown before the first text. `choices`: answers to each request, each of all the tokens.
    `after` changes the bytes of every event once it is written, `headers` go over those of an answer in one piece.
    """

    change: Change
    of: Of = "chat"
    outcome: str = "ok"
    told: bool = True
    with_last: bool = False
    spoken: bool = True
    hidden: int = 0
    choices: int = 1
    trailer: bytes | None = None  # in place of the protocol's own end mark
    after: Callable[[bytes, Part], bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def form(**keys: Any) -> Callable[[Change], Form]:
    """Declares a form: a function decorated with what is right about it."""
    return lambda change: Form(change, **keys)


class Odd:
    """A dialect that speaks an odd form of another one."""

    usage_each = True

    def __init__(self, inner: Dialect, form: Form) -> None:
        self._inner, self._form = inner, form
        self.content_type, self.headers = inner.content_type, inner.headers
        self.finish_with_last = inner.finish_with_last or form.with_last
        self._kept: dict[str, Any] = {}
        self._codec: Codec = _frames if inner.content_type == eventstream.CONTENT_TYPE else _sse
        if inner.content_type.startswith("audio/"):
            self._codec = _raw

    def opening(self, usage: Usage) -> bytes:
        return self._changed(self._inner.opening(usage), Part("opening", usage, kept=self._kept))

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        told = usage or Usage(0, 0)
        part = Part("token", told, text, reasoning, finish is not None, self._kept)
        return self._changed(self._inner.token(text, reasoning, finish, usage), part)

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        return self._changed(self._inner.closing(finish, usage), Part("closing", usage, kept=self._kept))

    def trailer(self) -> bytes:
        return self._inner.trailer() if self._form.trailer is None else self._form.trailer

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        return self._inner.error(aws, message, how)

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        whole = self._inner.whole(text, reasoning, finish, usage)
        changed = list(self._form.change(orjson.loads(whole.body), Part("whole", usage, text, last=True,
                                                                        kept=self._kept)))
        return Whole(b"".join(one if isinstance(one, bytes) else orjson.dumps(one) for one in changed),
                     whole.content_type, {**whole.headers, **self._form.headers})

    def _changed(self, data: bytes, part: Part) -> bytes:
        read, write = self._codec
        sent = b"".join(one if isinstance(one, bytes) else write(one, envelope)
                        for message, envelope in read(data) for one in self._form.change(message, part))
        return sent if self._form.after is None else self._form.after(sent, part)


# How messages stand in an answer's bytes: read to (message, what it was wrapped in), and written again.
Codec = tuple[Callable[[bytes], Iterable[tuple[Any, Any]]], Callable[[Any, Any], bytes]]


def sse(message: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + orjson.dumps(message) + b"\n\n"


def _read_sse(data: bytes) -> Iterable[tuple[Message, Any]]:
    for event in data.split(b"\n\n"):
        if event:
            data = event.partition(b"\ndata:")[2] if event.startswith(b"event:") else event.removeprefix(b"data:")
            yield orjson.loads(data.strip()), None


def _read_frames(data: bytes) -> Iterable[tuple[Message, Any]]:
    """Messages of Bedrock: the payload by the event's name, or a family's own object from its chunk."""
    at = 0
    while at < len(data):
        total, headers = struct.unpack_from("!II", data, at)
        payload = orjson.loads(data[at + 12 + headers:at + total - 4])
        kind = _event_type(data[at + 12:at + 12 + headers])
        if kind == "chunk":
            yield orjson.loads(base64.b64decode(payload["bytes"])), kind
        else:
            yield {kind: payload}, kind
        at += total


def _event_type(headers: bytes) -> str:
    name = b":event-type\x07"
    at = headers.index(name) + len(name)
    length = struct.unpack_from("!H", headers, at)[0]
    return headers[at + 2:at + 2 + length].decode()


def _write_frame(message: Message, kind: Any) -> bytes:
    if kind == "chunk":
        raw = base64.b64encode(orjson.dumps(message)).decode()
        return eventstream.event("chunk", orjson.dumps({"bytes": raw, "p": "abcdefgh"}))
    return b"".join(eventstream.event(name, payload if isinstance(payload, bytes) else orjson.dumps(payload))
                    for name, payload in message.items())


_sse: Codec = (_read_sse, lambda message, _: sse(message))
_frames: Codec = (_read_frames, _write_frame)
_raw: Codec = (lambda data: [(data, None)], lambda message, _: message)


def spoken(message: Message) -> Mapping[str, Any] | None:
    """The one choice of a message of OpenAI's; None where it has none."""
    choices = message.get("choices")
    return choices[0] if choices else None
