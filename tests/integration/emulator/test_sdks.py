"""The providers' own SDKs against the emulator: what they accept is what the services send."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.integration.emulator.conftest import Emulate

HELLO: Any = [{"role": "user", "content": "hi"}]


def claude(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)


def test_anthropics_sdk_takes_thinking_text_and_usage(emulate: Emulate) -> None:
    server = emulate("--profile", "instant", "--natural-tokens", "20", "--shape",
                     "reasoning_tokens=2,tokens_per_chunk=3")
    with claude(server.url).messages.stream(model="m", messages=HELLO, max_tokens=100) as stream:
        kinds = [event.type for event in stream]
        last = stream.get_final_message()
    assert {"message_start", "content_block_start", "thinking", "signature", "text", "message_stop"} <= set(kinds)
    assert [block.type for block in last.content] == ["thinking", "text"]
    assert (last.usage.output_tokens, last.stop_reason) == (20, "end_turn")
    whole = claude(server.url).messages.create(model="m", messages=HELLO, max_tokens=100)
    said, whole_said = last.content[1], whole.content[1]
    assert said.type == whole_said.type == "text" and said.text == whole_said.text and whole.usage.output_tokens == 20


def test_anthropics_sdk_takes_a_call_of_a_tool(emulate: Emulate) -> None:
    server = emulate("--profile", "instant", "--natural-tokens", "6")
    tools: Any = [{"name": "look_up", "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}}}]
    with claude(server.url).messages.stream(model="m", messages=HELLO, max_tokens=60, tools=tools,
                                            tool_choice={"type": "any"}) as stream:
        (call,) = stream.get_final_message().content
    assert call.type == "tool_use" and call.name == "look_up" and len(str(call.input["word"]).split()) == 6


def test_anthropics_sdk_reads_the_errors_and_the_cache(emulate: Emulate) -> None:
    server = emulate("--profile", "instant", "--prefix-cache", "--api-key", "none")
    with pytest.raises(anthropic.RateLimitError):
        claude(server.url).messages.create(model="m", messages=HELLO, max_tokens=5,
                                           extra_headers={"X-Emulator-Fault": "429"})
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=server.url, api_key="other", max_retries=0).messages.create(
            model="m", messages=HELLO, max_tokens=5)
    with pytest.raises(anthropic.APIStatusError, match="emulated failure"):
        list(claude(server.url).messages.create(model="m", messages=HELLO, max_tokens=5, stream=True,
                                                extra_headers={"X-Emulator-Fault": "error:after=2"}))
    long: Any = [{"role": "user", "content": [{"type": "text", "text": "word " * 200,
                                               "cache_control": {"type": "ephemeral"}}]}]
    first, second = (claude(server.url).messages.create(model="m", messages=long, max_tokens=5) for _ in range(2))
    assert (first.usage.cache_creation_input_tokens or 0) > 150 and not first.usage.cache_read_input_tokens
    assert (second.usage.cache_read_input_tokens or 0) > 150
