"""A request that forces a tool is answered by a call of it, streamed and whole, and counted as any answer."""

from __future__ import annotations

import orjson
import pytest

from fmload.emulator.dialect import Ask, Usage
from fmload.emulator.openai import OpenAIDialect
from fmload.emulator.shape import Shape
from fmload.endpoints.openai_answer import read_stream, read_whole
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange

TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"properties": {argument: {}}}}}
         for name, argument in (("search", "query"), ("calculate", "expression"))]
BY_NAME = {"type": "function", "function": {"name": "calculate"}}


def answered(choice: object, stream: bool, tools: object = TOOLS) -> Reading:
    body = {"tools": tools, "tool_choice": choice, "stream_options": {"include_usage": True}}
    dialect = OpenAIDialect(Ask(["hi"], chat=True, stream=stream), body, 7, True, Shape())
    texts = [" 1", ' "+"', " 1"]
    if not stream:
        return read_whole(Exchange("", body=dialect.whole("".join(texts), "", "stop", Usage(1, 3)).body, complete=True))
    finish = ["stop"] if dialect.finish_with_last else [None]
    events = [dialect.opening(Usage(1, 0)),
              *(dialect.token(text, False, end, Usage(1, count))
                for count, (text, end) in enumerate(zip(texts, [None, None, *finish], strict=True), 1)),
              dialect.closing(None if dialect.finish_with_last else "stop", Usage(1, 3)), dialect.trailer()]
    return read_stream(Exchange("", body=b"".join(events), complete=True))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("choice", "name", "argument"), [(BY_NAME, "calculate", "expression"),
                                                          ("required", "search", "query")])
def test_a_forced_call_is_whole_json_and_its_tokens_are_counted(
        choice: object, name: str, argument: str, stream: bool) -> None:
    reading = answered(choice, stream)
    call, = reading.tool_calls
    assert (call.name, orjson.loads(call.arguments)) == (name, {argument: ' 1 "+" 1'})
    assert (reading.finish_reason, reading.output_tokens, reading.failure) == ("tool_calls", 3, None)
    if stream:
        assert [chunk.channel for chunk in reading.chunks] == ["tool"] * 3


@pytest.mark.parametrize(("choice", "tools"), [("auto", TOOLS), (None, TOOLS), ("none", TOOLS), ("required", [])])
def test_what_is_not_forced_is_answered_in_words(choice: object, tools: object) -> None:
    reading = answered(choice, True, tools)
    assert reading.tool_calls == [] and reading.said("answer") == ' 1 "+" 1'
