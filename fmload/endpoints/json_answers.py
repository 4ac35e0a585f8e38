"""Answers that are JSON messages, as server-sent events, one a line, or one in all: each goes to its protocol's reader.

What every protocol does alike stands here once: pings, comments and end marks, errors in the stream, messages that
cannot be read, and streams that broke off. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from fmload.endpoints.answer import MALFORMED, Answer
from fmload.endpoints.failures import error_text
from fmload.endpoints.lenient_json import loads, tolerant
from fmload.endpoints.streams import DONE, PINGS, is_one_object, messages
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange

Json = Mapping[str, Any]
# Adds one message, complete at byte `end`, to the answer. Raises one of MALFORMED for what is none of the protocol.
Add = Callable[[Answer, Json, int], None]


def read(exchange: Exchange, add: Add, end_mark: str | None, streamed: bool) -> Reading:
    """The reading of a response. A server that answers a stream with plain JSON is understood, and one that streams
    what was asked for in one piece. `end_mark`: what an answer ends with, for messages; None: with its response."""
    answer, body = Answer(read_to=len(exchange.body)), exchange.body
    in_one = is_one_object(body) or not (streamed or _is_stream(body))
    if in_one:
        _whole(answer, add, exchange)
    else:
        _stream(answer, add, exchange)
    if end_mark is None:
        answer.ended = exchange.complete
    return answer.settle(exchange, end_mark or "", streamed and not in_one, whole_once_ended=True)


def has_token(body: bytes, add: Add) -> bool:
    """Whether a token has come in the part of a stream that has."""
    return bool(read(Exchange("", body=body), add, "", True).chunks)


def _is_stream(body: bytes) -> bool:
    return body.lstrip()[:5] == b"data:" or body.lstrip()[:6] == b"event:" or body[:1] in (b"{", b":")


def _whole(answer: Answer, add: Add, exchange: Exchange) -> None:
    try:
        _message(answer, add, loads(exchange.body), "", len(exchange.body))
    except MALFORMED:  # without the cause: it may quote the answer
        if exchange.complete:
            answer.fail("decode", f"not a response of this protocol: {exchange.body[:80]!r}")


def _stream(answer: Answer, add: Add, exchange: Exchange) -> None:
    body, heard = exchange.body, False
    for end, event, data in messages(body):
        heard = True
        try:
            _message(answer, add, orjson.loads(data), event, end)
        except MALFORMED:
            _odd(answer, add, data.strip(), event, end, cut=end == len(body) and not exchange.complete)
    if exchange.complete and body.strip() and not heard:
        answer.fail("decode", f"no event in the body: {body[:80]!r}")


def _message(answer: Answer, add: Add, message: Any, event: str, end: int) -> None:
    if message.get("type") is None and (event == "error" or message.get("error")):
        answer.fail("stream_error", error_text(message))
    elif event not in PINGS and message.get("type") not in PINGS:
        add(answer, message, end)


def _odd(answer: Answer, add: Add, data: bytes, event: str, end: int, cut: bool) -> None:
    """A message that is not strictly JSON, or not of the protocol. `cut`: in it the stream broke off."""
    if not data or event in PINGS or data[:16].decode("utf-8", "replace").lower() in PINGS:
        return
    if data[:len(DONE)].upper() == DONE:
        return
    try:
        message = tolerant(data)
        if message and isinstance(message, Mapping):
            _message(answer, add, message, event, end)
            return
        if not message or not isinstance(message, str | list):  # a ping of its own kind
            return
    except MALFORMED:
        pass
    if event == "error":
        answer.fail("stream_error", error_text(data[:4096].decode("utf-8", "replace")))
    elif not cut:
        answer.fail("decode", f"not a message of this protocol: {data[:80]!r}")
