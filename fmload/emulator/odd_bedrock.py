"""Odd forms of Bedrock's answers: Converse's events, and the objects of the families. Each is one function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fmload.emulator.odd import Form, Message, Part, form


def _stopped(reason: str, outcome: str) -> Form:
    def change(message: Message, part: Part) -> Iterable[Any]:
        if "messageStop" in message:
            message["messageStop"]["stopReason"] = reason
        yield message
    return Form(change, of="converse", outcome=outcome)


guardrail_intervened = _stopped("guardrail_intervened", "blocked")
content_filtered = _stopped("content_filtered", "blocked")
malformed_model_output = _stopped("malformed_model_output", "stream_error")


@form(of="converse", told=False)
def no_metadata(message: Message, part: Part) -> Iterable[Any]:
    """The counts never come."""
    if "metadata" not in message:
        yield message


@form(of="converse")
def unknown_events(message: Message, part: Part) -> Iterable[Any]:
    """Events that no client knows yet, before every one that it does."""
    yield {"somethingNew": {"x": 1}}
    yield message


@form(of="converse")
def odd_latency(message: Message, part: Part) -> Iterable[Any]:
    """NaN in the service's own account."""
    if "metadata" in message:
        usage = message["metadata"]["usage"]
        yield {"metadata": b'{"usage": {"inputTokens": %d, "outputTokens": %d}, "metrics": {"latencyMs": NaN}}' % (
            usage["inputTokens"], usage["outputTokens"])}
    else:
        yield message


@form(of="converse")
def mostly_cached(message: Message, part: Part) -> Iterable[Any]:
    """More input was read from the cache than was fresh: Converse counts the two apart."""
    if "metadata" in message:
        usage = message["metadata"]["usage"]
        cached = usage["inputTokens"] - 1
        message["metadata"]["usage"] = {**usage, "inputTokens": 1, "cacheReadInputTokens": cached}
    yield message


@form(of="converse")
def nulls_and_signatures(message: Message, part: Part) -> Iterable[Any]:
    """Texts of null before every text, and the first two tokens thought, with a signature that is no token."""
    if part.moment != "token" or "contentBlockDelta" not in message:
        yield message
        return
    yield _delta({"text": None})
    if part.usage.output_tokens > 2:
        yield message
        return
    yield _delta({"reasoningContent": {"text": part.text}})
    if part.usage.output_tokens == 2:
        yield _delta({"reasoningContent": {"signature": "c2lnbmVk"}})


@form(of="converse")
def tool_use(message: Message, part: Part) -> Iterable[Any]:
    """The answer is a call: its name comes with the block's start, its input in pieces."""
    if part.moment == "token" and part.usage.output_tokens == 1:
        yield {"contentBlockStart": {"contentBlockIndex": 0, "start": {
            "toolUse": {"toolUseId": "call_1", "name": part.text.strip()}}}}
    elif part.moment == "token":
        yield _delta({"toolUse": {"input": part.text}})
    else:
        yield message


def _delta(delta: Message) -> Message:
    return {"contentBlockDelta": {"contentBlockIndex": 0, "delta": delta}}


# -- what InvokeModel passes through --

_METRICS = "amazon-bedrock-invocationMetrics"


@form(of="invoke")
def first_token_without_text(message: Message, part: Part) -> Iterable[Any]:
    """Llama's first chunk has no text and a count of one."""
    if part.moment == "token" and part.usage.output_tokens == 1:
        message["generation"] = ""
    yield message


@form(of="invoke", outcome="blocked")
def invocation_guardrail(message: Message, part: Part) -> Iterable[Any]:
    """A guardrail's word beside the last object, or beside the whole answer."""
    if part.moment == "whole" or _METRICS in message:
        message["amazon-bedrock-guardrailAction"] = "INTERVENED"
    yield message


@form(of="invoke", told=False)
def no_invocation_metrics(message: Message, part: Part) -> Iterable[Any]:
    """Bedrock's own account never comes, and the family has none."""
    message.pop(_METRICS, None)
    yield message


@form(of="invoke")
def metrics_alone(message: Message, part: Part) -> Iterable[Any]:
    """Bedrock's own account comes in an object of its own, behind the model's last."""
    metrics = message.pop(_METRICS, None)
    yield message
    if metrics:
        yield {_METRICS: metrics}


@form(of="invoke", outcome="blocked")
def claude_refusal(message: Message, part: Part) -> Iterable[Any]:
    """Claude stops with `refusal`, after some text."""
    if message.get("type") == "message_delta":
        message["delta"]["stop_reason"] = "refusal"
    yield message


@form(of="invoke")
def claude_thinking(message: Message, part: Part) -> Iterable[Any]:
    """Claude's first two tokens are thinking, with a signature and a ping that are no tokens."""
    if part.moment == "token" and part.usage.output_tokens <= 2:
        message["delta"] = {"type": "thinking_delta", "thinking": part.text}
        yield message
        yield {"type": "ping"}
        yield {**message, "delta": {"type": "signature_delta", "signature": "c2lnbmVk"}}
    else:
        yield message


@form(of="invoke")
def claude_tool_use(message: Message, part: Part) -> Iterable[Any]:
    """Claude calls a tool: the name with the block's start, the input in pieces, of which the first is empty."""
    if part.moment != "token":
        yield message
    elif part.usage.output_tokens == 1:
        yield {"type": "content_block_start", "index": 1, "content_block": {
            "type": "tool_use", "id": "toolu_1", "name": part.text.strip(), "input": {}}}
        yield {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ""}}
    else:
        yield {"type": "content_block_delta", "index": 1,
               "delta": {"type": "input_json_delta", "partial_json": part.text}}


@form(of="invoke")
def claude_counts_again(message: Message, part: Part) -> Iterable[Any]:
    """Claude's last usage repeats the input beside the output, cached tokens apart."""
    if message.get("type") == "message_delta":
        message["usage"] = {"input_tokens": 1, "cache_read_input_tokens": part.usage.input_tokens - 1,
                            "cache_creation_input_tokens": 0, "output_tokens": part.usage.output_tokens}
    if message.get("type") == "message_start":
        message["message"]["usage"] = {"input_tokens": 1, "output_tokens": 1,
                                       "cache_read_input_tokens": part.usage.input_tokens - 1}
    yield message


@form(of="invoke", told=False, headers={"X-Amzn-Bedrock-Output-Token-Count": "\u00b2",
                                        "X-Amzn-Bedrock-Input-Token-Count": "9" * 30})
def headers_that_count_nothing(message: Message, part: Part) -> Iterable[Any]:
    """The headers that count the tokens of a whole answer hold no counts."""
    yield message
