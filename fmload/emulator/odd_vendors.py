"""Odd forms of OpenAI's chat: what one engine or service alone adds to it. Each is one function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fmload.emulator.odd import Form, Message, Part, form, spoken
from fmload.emulator.openai import usage_json

_SAFE = {"hate": {"filtered": False, "severity": "safe"}}


def _so_far(part: Part) -> str:
    """The text up to and with this message's."""
    part.kept["said"] = part.kept.get("said", "") + part.text
    return str(part.kept["said"])


@form()
def whole_text_again(message: Message, part: Part) -> Iterable[Any]:
    """One chunk in the middle repeats all that was said (TensorRT-LLM), and the last message holds the whole text."""
    said = _so_far(part)
    yield message
    if part.moment == "token" and part.usage.output_tokens == 5:
        yield {**message, "choices": [{"index": 0, "delta": {"content": said}, "finish_reason": None}]}
    if part.moment == "closing" and message["choices"]:
        yield {**message, "choices": [{"index": 0, "delta": {}, "message": {"content": said}, "finish_reason": None}]}


@form()
def message_beside_delta(message: Message, part: Part) -> Iterable[Any]:
    """The whole message so far and a running total beside each delta (Perplexity)."""
    said, choice = _so_far(part), spoken(message)
    if isinstance(choice, dict):
        choice["message"] = {"role": "assistant", "content": said}
    yield {**message, "usage": usage_json(part.usage), "citations": ["https://example.org"], "search_results": []}


@form()
def filter_annotations(message: Message, part: Part) -> Iterable[Any]:
    """Azure's filter tells of itself: before the answer, within it without a delta, and after its end."""
    note = {"choices": [{"index": 0, "finish_reason": None, "content_filter_results": _SAFE,
                         "content_filter_offsets": {"check_offset": 4, "start_offset": 4, "end_offset": 9}}]}
    if part.moment == "opening":
        yield {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _SAFE}]}
    yield message
    if message["choices"]:
        yield {**message, **note}


@form()
def finish_details(message: Message, part: Part) -> Iterable[Any]:
    """The reason to stop stands under `finish_details` alone (Azure)."""
    choice = spoken(message)
    if part.moment == "closing" and isinstance(choice, dict):
        choice["finish_details"] = {"type": choice.pop("finish_reason"), "stop": "<|end|>"}
    yield message


@form(outcome="stream_error")
def groq_error(message: Message, part: Part) -> Iterable[Any]:
    """The stream ends as if all were well, and says beside it why it was stopped early (Groq)."""
    if part.moment == "closing":
        message["x_groq"] = {"id": "req_1", "error": "over_capacity"}
    yield message


def _filtered(error: Message) -> Form:
    def change(message: Message, part: Part) -> Iterable[Any]:
        if part.moment != "closing":
            yield message
        elif message["choices"]:
            yield {"error": error}
    return Form(change, outcome="blocked")


filter_error = _filtered({"message": "The response was filtered", "type": None, "code": "content_filter"})  # Azure
inspection_error = _filtered({"message": "Output data may contain inappropriate content.",  # DashScope
                              "type": "data_inspection_failed", "code": "data_inspection_failed"})
risk_error = _filtered({"message": "Content Exists Risk", "type": "invalid_request_error",  # DeepSeek
                        "code": "invalid_request_error"})


@form()
def signed_tool_calls(message: Message, part: Part) -> Iterable[Any]:
    """Calls without an index, with the signature of a thought beside them, that end with `stop` (Gemini)."""
    choice = spoken(message)
    if part.moment == "token" and isinstance(choice, dict):
        choice["delta"] = {"role": "assistant", "tool_calls": [{
            "id": "a", "type": "function", "function": {"name": "f", "arguments": part.text},
            "extra_content": {"google": {"thought_signature": "EjQK"}}}]}
    yield message


@form()
def nulls_in_deltas(message: Message, part: Part) -> Iterable[Any]:
    """Every key there is, null where there is nothing (SGLang)."""
    choice = spoken(message)
    if isinstance(choice, dict):
        nulls = dict.fromkeys(("role", "content", "reasoning_content", "tool_calls", "refusal", "audio"))
        choice["delta"] = {**nulls, **choice["delta"]}
        choice |= {"logprobs": None, "matched_stop": None, "hidden_states": None}
    yield {"usage": None, **message}


@form()
def going_on(message: Message, part: Part) -> Iterable[Any]:
    """A reason to stop with every chunk, which says that there is none yet (Triton, Gemini)."""
    choice = spoken(message)
    if part.moment != "closing" and isinstance(choice, dict):
        choice["finish_reason"] = "not_finished" if part.usage.output_tokens % 2 else "FINISH_REASON_UNSPECIFIED"
    yield message


@form()
def prompt_progress(message: Message, part: Part) -> Iterable[Any]:
    """News of how far the prompt is read, as chunks without a token (llama.cpp)."""
    if part.moment == "opening":
        yield message
        message["choices"][0]["delta"] = {}
        yield {**message, "prompt_progress": {"total": 9, "cache": 0, "processed": 4, "time_ms": 3}}
    else:
        yield message


@form()
def reference_parts(message: Message, part: Part) -> Iterable[Any]:
    """References among the parts of a text, and a message of references alone (Mistral)."""
    choice = spoken(message)
    reference = {"type": "reference", "reference_ids": [1]}
    if part.moment == "token" and isinstance(choice, dict):
        choice["delta"] = {"content": [{"type": "text", "text": part.text}, reference]}
        yield message
        yield {**message, "choices": [{"index": 0, "delta": {"content": [reference]}, "finish_reason": None}]}
    else:
        yield message


@form(trailer=b"")
def usage_after_the_end_mark(message: Message, part: Part) -> Iterable[Any]:
    """The counts come behind [DONE]."""
    if part.moment == "closing" and not message["choices"]:
        yield b"data: [DONE]\n\n"
    yield message


@form()
def obfuscated(message: Message, part: Part) -> Iterable[Any]:
    """Padding against listeners, and a tier, beside every chunk (OpenAI)."""
    yield {**message, "obfuscation": "xYz"[:1 + part.usage.output_tokens % 3], "service_tier": "default"}
