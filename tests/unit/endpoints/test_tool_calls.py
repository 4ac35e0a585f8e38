"""Tool calls put together from the pieces of an answer, in the forms of the protocols."""

from __future__ import annotations

import orjson
import pytest

from fmload.endpoints import anthropic
from fmload.endpoints.answer import Answer
from fmload.endpoints.bedrock_bodies import read_converse, read_converse_whole
from fmload.endpoints.openai_answer import read_stream, read_whole
from fmload.endpoints.tool_calls import ToolCalls
from fmload.model.reading import ToolCall
from fmload.wire.exchange import Exchange

WEATHER = ToolCall("call_a", "weather", '{"city":"Rome"}')


def streamed(*deltas: object) -> list[ToolCall]:
    events = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    body = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    return read_stream(Exchange("", body=body, complete=True)).tool_calls


def piece(arguments: str, **more: object) -> dict[str, object]:
    return {"function": {"arguments": arguments}, **more}


def test_pieces_of_two_calls_side_by_side_are_told_apart_by_their_index() -> None:
    assert streamed(
        {"tool_calls": [{"index": 0, "id": "call_a", "function": {"name": "weather", "arguments": ""}}]},
        {"tool_calls": [piece('{"city":', index=0)]},
        {"tool_calls": [{"index": 1, "id": "call_b", "function": {"name": "time", "arguments": "{"}}]},
        {"tool_calls": [piece('"Rome"}', index=0), piece("}", index=1)]},
    ) == [WEATHER, ToolCall("call_b", "time", "{}")]


def test_pieces_without_an_index_belong_to_the_call_before_them() -> None:
    assert streamed({"tool_calls": [{"id": "call_a", "function": {"name": "weather", "arguments": '{"city"'}}]},
                    {"tool_calls": [piece(':"Rome"}')]}) == [WEATHER]


def test_a_call_without_an_id_gets_one_and_one_without_a_name_is_none() -> None:
    calls = ToolCalls()
    calls.add_openai(0, {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": {"a": 1}}},
                                        piece("lost", index=1), "odd"]})
    assert calls.all() == [ToolCall("call_0", "f", '{"a":1}')]


def test_a_whole_message_of_openai_holds_its_calls() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": WEATHER.arguments}}]}
    body = orjson.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})
    assert read_whole(Exchange("", body=body, complete=True)).tool_calls == [WEATHER]


def read(answer: Answer) -> list[ToolCall]:
    return answer.settle(Exchange("", complete=True), "an end", streamed=True).tool_calls


def test_calls_of_anthropics_stream_and_of_its_whole_message() -> None:
    answer, whole = Answer(), Answer()
    anthropic.read(answer, {"type": "content_block_start", "index": 1, "content_block": {
        "type": "tool_use", "id": "call_a", "name": "weather", "input": {}}}, 1)
    for end, part in enumerate(('{"city":', '"Rome"}'), 2):
        anthropic.read(answer, {"type": "content_block_delta", "index": 1, "delta": {
            "type": "input_json_delta", "partial_json": part}}, end)
    anthropic.read(whole, {"type": "message", "content": [
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "call_a", "name": "weather", "input": {"city": "Rome"}}]}, 9)
    assert read(answer) == read(whole) == [WEATHER]


@pytest.mark.parametrize("at_once", [False, True])
def test_calls_of_converse_streamed_and_whole(at_once: bool) -> None:
    answer = Answer()
    used = {"toolUseId": "call_a", "name": "weather"}
    if at_once:
        read_converse_whole(answer, {"output": {"message": {"content": [
            {"text": "Let me see."}, {"toolUse": {**used, "input": {"city": "Rome"}}}]}}, "stopReason": "tool_use"}, 9)
    else:
        read_converse(answer, {"contentBlockStart": {"contentBlockIndex": 1, "start": {"toolUse": used}}}, 1)
        for end, part in enumerate(('{"city":', '"Rome"}'), 2):
            read_converse(answer, {"contentBlockDelta": {"contentBlockIndex": 1,
                                                         "delta": {"toolUse": {"input": part}}}}, end)
    assert read(answer) == [WEATHER]
