"""Odd forms of Bedrock's answers. Each is one function, of Converse's events or of a family's own objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fmload.emulator.odd import Form, Message, Part, form


def _stopped(reason: str, outcome: str) -> Form:
    def change(message: Message, part: Part) -> Iterable[Any]:
        if "messageStop" in message:
            message["messageStop"]["stopReason"] = reason
        yield message
    return Form(change, outcome=outcome)


guardrail_intervened = _stopped("guardrail_intervened", "blocked")
content_filtered = _stopped("content_filtered", "blocked")
malformed_model_output = _stopped("malformed_model_output", "stream_error")


@form(told=False)
def no_metadata(message: Message, part: Part) -> Iterable[Any]:
    """The counts never come."""
    if "metadata" not in message:
        yield message


@form()
def unknown_events(message: Message, part: Part) -> Iterable[Any]:
    """Events that no client knows yet, before every one that it does."""
    yield {"somethingNew": {"x": 1}}
    yield message


@form()
def odd_latency(message: Message, part: Part) -> Iterable[Any]:
    """NaN in the service's own account."""
    if "metadata" in message:
        usage = message["metadata"]["usage"]
        yield {"metadata": b'{"usage": {"inputTokens": %d, "outputTokens": %d}, "metrics": {"latencyMs": NaN}}' % (
            usage["inputTokens"], usage["outputTokens"])}
    else:
        yield message


@form()
def mostly_cached(message: Message, part: Part) -> Iterable[Any]:
    """More input was read from the cache than was fresh: Converse counts the two apart."""
    if "metadata" in message:
        usage = message["metadata"]["usage"]
        cached = usage["inputTokens"] - 1
        message["metadata"]["usage"] = {**usage, "inputTokens": 1, "cacheReadInputTokens": cached}
    yield message
