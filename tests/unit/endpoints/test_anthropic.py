"""Anthropic's Messages over HTTP: marks for the prompt cache, keys, and what compatible servers send."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange
from fmload.worker.measure import outcome
from tests.protocols import CALL, PROTOCOLS, answered, body_of, sent
from tests.spoken import spoken

TURNS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"},
         {"role": "assistant", "content": "Me."}, {"role": "user", "content": "And?"}]


def body(prompt: Prompt, **keys: Any) -> dict[str, Any]:
    return body_of(sent(spoken("anthropic", **keys), prompt))


def test_a_chat_is_a_message_with_the_system_beside_it() -> None:
    assert body(Prompt("p", "s", messages=TURNS, output_tokens=9)) == {
        "model": "m", "stream": True, "max_tokens": 9, "system": "Be brief.", "messages": TURNS[1:]}


@pytest.mark.parametrize(("cache", "mark"), [("5m", {"type": "ephemeral"}), ("1h", {"type": "ephemeral", "ttl": "1h"})])
def test_what_is_worth_keeping_is_marked_for_the_cache(cache: str, mark: dict[str, str]) -> None:
    made = body(Prompt("p", "s", messages=TURNS, output_tokens=9, parameters=CALL), cache=cache)
    assert made["system"] == [{"type": "text", "text": "Be brief.", "cache_control": mark}]
    assert made["messages"][-1]["content"] == [{"type": "text", "text": "And?", "cache_control": mark}]
    assert made["tools"][-1]["cache_control"] == mark and made["messages"][0] == TURNS[1]


def test_the_choice_of_a_tool_has_anthropics_form() -> None:
    made = body(Prompt("p", "s", text="x", output_tokens=9), parameters={
        "tool_choice": {"type": "function", "function": {"name": "look_up"}}})
    assert made["tool_choice"] == {"type": "tool", "name": "look_up"}


def test_what_was_read_from_the_cache_and_written_to_it_is_input() -> None:
    made = PROTOCOLS["anthropic"].endpoint(cache="5m")
    for streamed in (True, False):
        endpoint = PROTOCOLS["anthropic"].endpoint(cache="5m", stream=streamed)
        reading = endpoint.read(answered(endpoint, cached=4).exchange)
        assert (reading.input_tokens, reading.cached_tokens, reading.cache_write_tokens) == (9, 4, 5)
    assert made.read(answered(made).exchange).cache_write_tokens == 9


@pytest.mark.parametrize(("keys", "header"), [
    ({}, ("x-api-key", "k-123456")), ({"api_key_header": "Authorization"}, ("Authorization", "Bearer k-123456"))])
def test_the_key_goes_as_anthropic_and_as_compatible_servers_take_it(
        keys: dict[str, str], header: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "k-123456")
    headers = sent(spoken("anthropic", api_key_env="THE_KEY", **keys)).headers
    assert header in headers.items() and headers["anthropic-version"] == "2023-06-01"
    assert len([name for name in headers if name.lower() in ("x-api-key", "authorization")]) == 1


@pytest.mark.parametrize(("url", "target"), [
    ("https://api.anthropic.com", "/v1/messages"), ("http://h:8000/v1", "/v1/messages"),
    ("https://bedrock-mantle.us-east-1.api.aws/anthropic/v1", "/anthropic/v1/messages")])
def test_paths_of_all_who_serve_it(url: str, target: str) -> None:
    assert sent(spoken("anthropic", url)).target == target


def read(*events: dict[str, Any]) -> tuple[Reading, str]:
    exchange = Exchange("a", status=200, complete=True, body=b"".join(
        f"event: {event['type']}\n".encode() + b"data: " + orjson.dumps(event) + b"\n\n" for event in events))
    reading = spoken("anthropic").read(exchange)
    failure = outcome(exchange, reading)
    return reading, failure.outcome if failure else "ok"


def start(**usage: int) -> dict[str, Any]:
    return {"type": "message_start", "message": {"type": "message", "content": [], "usage": usage}}


def delta(**value: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": value}


TEXT = delta(type="text_delta", text="Hi")
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}
STOP = {"type": "message_stop"}


@pytest.mark.parametrize(("first", "last", "tokens"), [
    (start(input_tokens=7, output_tokens=1), END, 7),
    (start(input_tokens=0, output_tokens=0), {**END, "usage": {"input_tokens": 7, "output_tokens": 1}}, 7),  # llama.cpp
    (start(input_tokens=7), {**END, "usage": {"input_tokens": 7, "output_tokens": 1}}, 7),  # vLLM
])
def test_the_input_is_told_at_the_start_or_at_the_end(first: dict[str, Any], last: dict[str, Any], tokens: int) -> None:
    reading, how = read(first, TEXT, last, STOP)
    assert (reading.input_tokens, reading.output_tokens, how) == (tokens, 1, "ok")


@pytest.mark.parametrize(("kind", "how"), [("overloaded_error", "stream_error"), ("rate_limit_error", "throttled")])
def test_an_error_event_is_a_failure_with_its_kind(kind: str, how: str) -> None:
    reading, found = read(start(input_tokens=7), TEXT, {"type": "error", "error": {"type": kind, "message": "Busy"}})
    assert found == how and reading.failure is not None and reading.failure.message == f"{kind}: Busy"


def test_signatures_pings_and_citations_are_no_tokens() -> None:
    reading, how = read(start(input_tokens=7), {"type": "ping"}, delta(type="thinking_delta", thinking="Hm"),
                        delta(type="signature_delta", signature="c2ln"), TEXT,
                        delta(type="citations_delta", citation={"cited_text": "x"}), END, STOP)
    assert [(chunk.channel, chunk.text) for chunk in reading.chunks] == [("reasoning", "Hm"), ("answer", "Hi")]
    assert how == "ok"
