"""What OpenAI-compatible servers answer: bytes to chunks, counts and the way it ended. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from fmload.endpoints.failures import error_text
from fmload.model.outcome import Failure
from fmload.model.reading import Channel, Chunk, Reading
from fmload.wire.exchange import Exchange
from fmload.wire.sse import events

_DONE = b"[DONE]"
_SERVERS_OWN = ("timings", "metrics")  # llama.cpp; vLLM
_MAX_COUNT = 2**31 - 1  # what a record's column holds
_chunk: Callable[[Any], Chunk] = partial(tuple.__new__, Chunk)  # Chunk._make in C: once a token
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError)  # orjson's errors are ValueErrors


def read_stream(exchange: Exchange) -> Reading:
    """The reading of a stream of events."""
    answer = OpenAIAnswer()
    for end, event, data in events(exchange.body):
        if data == _DONE:
            answer.done = True
            continue
        try:
            answer.add(end, orjson.loads(data), event)
        except _MALFORMED:
            if exchange.complete or end < len(exchange.body):  # else it is the event in which the stream broke off
                answer.fail("decode", f"not a chunk of this protocol: {data[:80]!r}")
            break
    answer.settle()
    if exchange.failure is None:
        answer.judge_end(exchange)
    return answer.reading


def read_whole(exchange: Exchange) -> Reading:
    """The reading of a response in one piece: one chunk with all its tokens, complete with the body."""
    answer = OpenAIAnswer()
    try:
        answer.add(len(exchange.body), orjson.loads(exchange.body))
    except _MALFORMED:
        if exchange.complete:
            answer.fail("decode", f"not a response of this protocol: {exchange.body[:80]!r}")
        elif exchange.failure is None:
            answer.fail("truncated", "the connection closed inside the response")
    answer.settle()
    reading = answer.reading
    reading.chunks = [chunk._replace(tokens=reading.output_tokens or chunk.tokens) for chunk in reading.chunks]
    return reading


class OpenAIAnswer:
    """A reading in the making: `add` every message, then `settle`."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.done = False  # the end mark has come
        self._events = 0
        self._choices: set[int] = set()
        self._finish_reasons: dict[int, str] = {}
        self._tokens_so_far: dict[int, int] = {}
        # Usage, by how much it can be trusted to be the total: in a message of its own, with the end of a choice
        # or after it, or anywhere (continuous usage of a stream that broke off).
        self._usage_alone: list[dict[str, Any]] = []
        self._usage_at_end: list[dict[str, Any]] = []
        self._usage_last: list[dict[str, Any]] = []

    def fail(self, outcome: Any, message: str) -> None:
        """The first failure stays: what follows is its consequence."""
        self.reading.failure = self.reading.failure or Failure(outcome, message)

    def add(self, end: int, message: Any, event: str = "") -> None:
        """One message, complete at byte `end`. Raises one of _MALFORMED for what no server of this protocol sends."""
        self._events += 1
        choices, usage = message.get("choices"), message.get("usage")
        if message.get("error") or event == "error" or (not choices and message.get("object") == "error"):
            self.fail("stream_error", error_text(message))
            return
        text, channel, tokens, finished = "", None, 0, False
        for choice in choices or ():
            piece, kind = _piece(choice)
            token_ids, index = choice.get("token_ids"), int(choice.get("index") or 0)
            self._choices.add(index)
            if piece or token_ids:
                text += piece
                channel = channel or kind
                tokens += len(token_ids) if token_ids else self._new_tokens(index, usage)
            if reason := choice.get("finish_reason"):
                self._finish_reasons[index] = str(reason)
                finished = True
        if channel is not None:
            self.reading.chunks.append(_chunk((end, tokens, channel, text)))
        if usage or finished:
            self._note_totals(message, usage, choices)

    def _new_tokens(self, index: int, usage: Any) -> int:
        """Tokens in a chunk of text: what continuous usage has grown by, else 1."""
        total = _count(usage, "completion_tokens") if usage else None
        if total is None:
            return 1
        before = self._tokens_so_far.get(index, 0)
        self._tokens_so_far[index] = total
        return max(1, total - before)

    def _note_totals(self, message: dict[str, Any], usage: Any, choices: Any) -> None:
        for name in _SERVERS_OWN:
            if name in message:
                self.reading.detail = {**self.reading.detail, name: message[name]}
        if not isinstance(usage, dict):
            return
        if not choices:
            self._usage_alone.append(usage)
        elif all(int(choice.get("index") or 0) in self._finish_reasons for choice in choices):
            self._usage_at_end.append(usage)
        self._usage_last = [usage]

    def settle(self) -> None:
        """Counts and finish reason, once all messages are in."""
        reading = self.reading
        usages = self._usage_alone or self._usage_at_end or self._usage_last
        # Several choices, and a usage for each: the outputs add up, the prompt was one. Else the last is the total.
        each = len(usages) > 1 and len(usages) == len(self._choices)
        counted = usages if each else usages[-1:]
        outputs = [tokens for usage in counted if (tokens := _count(usage, "completion_tokens"))]
        if counted:
            reading.input_tokens = _count(counted[-1], "prompt_tokens")
            reading.cached_tokens = _count(counted[-1].get("prompt_tokens_details"), "cached_tokens")
            reading.reasoning_tokens = _count(counted[-1].get("completion_tokens_details"), "reasoning_tokens")
        if outputs:
            reading.output_tokens, reading.tokens_source = sum(outputs), "server"
        if self._finish_reasons and (self.done or self._choices == set(self._finish_reasons)):
            reading.finish_reason = self._finish_reasons[min(self._finish_reasons)]

    def judge_end(self, exchange: Exchange) -> None:
        """A stream is whole when its choices gave a finish reason, with or without the end mark."""
        reading = self.reading
        if reading.chunks and reading.finish_reason is None:
            how = ("with [DONE] but without a finish reason" if self.done
                   else "with neither a finish reason nor [DONE]" if exchange.complete
                   else "because the connection closed")
            self.fail("truncated", f"the stream ended after {len(reading.chunks)} chunks {how}")
        elif not reading.chunks and not exchange.complete:
            self.fail("truncated", "the connection closed before the first token")
        elif exchange.body.strip() and not self._events and not self.done:
            self.fail("decode", f"no event in the body: {exchange.body[:80]!r}")


def _piece(choice: Any) -> tuple[str, Channel]:
    """The text that a choice adds, and its channel; ("", "answer") when it adds none."""
    delta = choice.get("delta") or choice.get("message")
    if delta is None:
        return choice.get("text") or "", "answer"
    content = delta.get("content") or delta.get("refusal")
    if content:
        return content if isinstance(content, str) else _joined(content), "answer"
    reasoning = delta.get("reasoning_content") or delta.get("reasoning")
    if reasoning:
        return str(reasoning), "reasoning"
    if calls := delta.get("tool_calls"):
        return "".join(_call_text(call.get("function") or {}) for call in calls), "tool"
    return choice.get("text") or "", "answer"


def _joined(parts: Any) -> str:
    return "".join(part.get("text") or "" for part in parts)


def _call_text(function: Mapping[str, Any]) -> str:
    return f"{function.get('name') or ''}{function.get('arguments') or ''}"


def _count(usage: Any, name: str) -> int | None:
    """A count of a usage object; None when it is absent or no count."""
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT else None
