"""The providers' own SDKs against the emulator: what they accept is what the services send.

Each takes seconds to import: the tests that need it do so, and not every process that collects tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from huggingface_hub import InferenceClient

from tests.integration.emulator.conftest import Emulate

if TYPE_CHECKING:
    import anthropic
    from google import genai

HELLO: Any = [{"role": "user", "content": "hi"}]


def claude(url: str) -> anthropic.Anthropic:
    import anthropic

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
    import anthropic

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


def gemini(url: str) -> genai.Client:
    from google import genai
    from google.genai import types

    return genai.Client(api_key="none", http_options=types.HttpOptions(base_url=url))


@pytest.mark.parametrize("form", ["AI Studio", "Vertex AI"])
def test_googles_sdk_takes_thoughts_text_and_usage(emulate: Emulate, form: str) -> None:
    from google import genai
    from google.genai import types

    server = emulate("--profile", "instant", "--shape", "reasoning_tokens=2,tokens_per_chunk=3")
    client = gemini(server.url)
    model = "m" if form == "AI Studio" else "projects/p/locations/l/publishers/google/models/m"
    config = types.GenerateContentConfig(max_output_tokens=20, system_instruction="Be brief.", temperature=0.5)
    if form == "Vertex AI":
        client = genai.Client(vertexai=True, api_key="none", http_options=types.HttpOptions(
            base_url=server.url, api_version="v1"))
    responses = list(client.models.generate_content_stream(model=model, contents="hi", config=config))
    parts = [part for response in responses for candidate in response.candidates or ()
             for part in (candidate.content.parts if candidate.content and candidate.content.parts else ())]
    assert len("".join(part.text or "" for part in parts if part.thought).split()) == 2
    assert len("".join(part.text or "" for part in parts if not part.thought).split()) == 18
    usage = responses[-1].usage_metadata
    assert usage is not None and (usage.candidates_token_count, usage.thoughts_token_count) == (18, 2)
    whole = client.models.generate_content(model=model, contents="hi", config=config)
    assert whole.candidates is not None and whole.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert whole.text is not None and len(whole.text.split()) == 18


def test_googles_sdk_takes_a_call_of_a_tool_and_errors(emulate: Emulate) -> None:
    from google.genai import errors, types

    server = emulate("--profile", "instant", "--natural-tokens", "6")
    tool = types.Tool(function_declarations=[types.FunctionDeclaration(name="look_up", parameters=types.Schema(
        type=types.Type.OBJECT, properties={"word": types.Schema(type=types.Type.STRING)}))])
    mode, client = types.FunctionCallingConfigMode.ANY, gemini(server.url)
    response = client.models.generate_content(model="m", contents="hi", config=types.GenerateContentConfig(
        tools=[tool], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        tool_config=types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=mode))))
    (call,) = response.function_calls or ()
    assert call.name == "look_up" and len((call.args or {})["word"].split()) == 6
    with pytest.raises(errors.ClientError, match="RESOURCE_EXHAUSTED"):
        client.models.generate_content(model="m", contents="hi", config=types.GenerateContentConfig(
            http_options=types.HttpOptions(headers={"X-Emulator-Fault": "429"})))


def test_hugging_faces_client_takes_tgis_events(emulate: Emulate) -> None:
    server = emulate("--profile", "instant")
    client = InferenceClient(model=server.url)
    *_, last = client.text_generation("hi", max_new_tokens=7, stream=True, details=True)
    assert last.details is not None and last.details.generated_tokens == 7
    assert last.generated_text is not None and len(last.generated_text.split()) == 7
    whole = client.text_generation("hi", max_new_tokens=7, details=True)
    assert whole.details is not None and whole.details.finish_reason == "length"
