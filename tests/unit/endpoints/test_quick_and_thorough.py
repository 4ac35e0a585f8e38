"""The usual is read in a quick way beside the thorough one, which takes any form: both come to the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

import orjson
import pytest

from fmload.endpoints import usage
from fmload.endpoints.openai_answer import OpenAIAnswer, read_stream
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange

ODD = (None, 0, 1, -1, 2.0, "3", True, "", " a", [], {}, {"tokens": {"completion_tokens": 2}}, {"cached_tokens": 9})
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1}}
ROLE = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
TEXT = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": " a"}, "finish_reason": None}]}
END = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
LAST = {"object": "chat.completion.chunk", "choices": [], "usage": USAGE}
USUAL = [ROLE, TEXT, TEXT, END, LAST]
COUNTS = [*USAGE, "tokens", "reasoning_tokens", "input_tokens", "cached_tokens"]
CHOICE = ["index", "delta", "finish_reason", "logprobs", "stop_reason", "text", "error", "usage", "message"]
# Where something may stand in place of what is usual, and what else than ODD.
CHANGES: dict[tuple[Any, ...], tuple[Any, ...]] = {
    **{(name,): () for name in ("object", "error", "timings", "message", "choices", "x_groq")}, ("usage",): (USAGE,),
    **{("usage", name): (USAGE,) for name in COUNTS}, ("usage", "prompt_tokens_details", "cached_tokens"): (),
    ("choices", 0): (), **{("choices", 0, name): (USAGE, {"content": [1]}) for name in CHOICE},
    **{("choices", 0, "delta", name): () for name in ("content", "reasoning", "tool_calls", "role")},
    ("choices", 0, "finish_reason"): ("length", "content_filter", "null", {"type": "stop"})}


def changed(message: dict[str, Any], path: tuple[Any, ...], value: Any) -> Any:
    """The message with another value at that place; as it is where it has no such place."""
    inside: Any = (made := deepcopy(message))
    with suppress(TypeError, KeyError, IndexError):
        for key in path[:-1]:
            inside = inside[key]
        inside[path[-1]] = value
    return made


def streams() -> Iterator[list[Any]]:
    """Usual streams of which one message is odd in one place."""
    for place, message in enumerate(USUAL):
        for path, more in CHANGES.items():
            for value in (*ODD, *more):
                stream = [*USUAL[:place], changed(message, path, value), *USUAL[place + 1:]]
                yield from (stream, stream[:-1])


def reading_of(told: list[Any], mark: bool, event: str) -> Reading:
    name = f"event: {event}\n".encode() if event else b""
    datas = [*map(orjson.dumps, told), *[b"[DONE]"] * mark]
    body = b"".join(name + b"data: " + data + b"\n\n" for data in datas)
    return read_stream(Exchange("", status=200, body=body, complete=True))


def test_a_stream_reads_the_same_in_the_quick_and_in_the_thorough_way(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [(told, mark, "") for told in streams() for mark in (True, False)]
    asked += [(USUAL, True, event) for event in ("message", "error", "ping")]
    quick = [reading_of(*one) for one in asked]
    monkeypatch.setattr(OpenAIAnswer, "_add_plain", lambda self, message: False)
    monkeypatch.setattr(usage, "_read_plain", lambda told: None)
    for one, found in zip(asked, quick, strict=True):
        assert reading_of(*one) == found, one


@pytest.mark.parametrize("message", [
    {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
    {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}])
def test_what_nearly_all_streams_hold_is_read_in_the_quick_way(message: dict[str, Any],
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenAIAnswer, "add", lambda *_: pytest.fail("the thorough way"))
    assert reading_of([message], True, "").failure is None


def test_counts_of_the_usual_form_are_those_of_the_thorough_reading() -> None:
    for path, more in CHANGES.items():
        for value in (*ODD, *more):
            told = changed(LAST, path, value).get("usage")
            if path[0] == "usage" and isinstance(told, dict):
                quick = usage._read_plain(told)
                assert quick is None or quick == usage._read_any(told, 1), told


def test_counts_of_the_usual_form_are_read_in_the_quick_way() -> None:
    told = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 4}}
    assert usage._read_plain(told) == usage.Counts(5, 2, 4)
