"""Reasons to stop that are failures: an answer that was broken off, or one that a filter ended or replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmload.endpoints.failures import error_text
from fmload.model.outcome import Failure

# In lower case, whatever the server's own. Of content filters and guardrails: OpenAI and Azure, Converse, Anthropic's
# classifiers, Gemini, GLM, Cohere.
_BLOCKED = frozenset({
    "content_filter", "content_filtered", "guardrail_intervened", "refusal", "safety", "recitation", "blocklist",
    "prohibited_content", "spii", "image_safety", "sensitive", "error_toxic", "blocked", "guardrail", "guardrails",
    "safety_filter", "moderation", "filtered",
})
# vLLM and SGLang (abort), gateways (error), DeepSeek, GLM, Cohere, Converse and Gemini (malformed_…).
_BROKEN = frozenset({
    "abort", "aborted", "error", "failed", "failure", "cancelled", "canceled", "timeout",
    "insufficient_system_resource", "network_error", "error_limit", "malformed_model_output", "malformed_tool_use",
    "malformed_function_call", "unexpected_tool_call", "model_error", "server_error", "overloaded",
    "engine_overloaded",
})


# What says that the answer goes on: Gemini's facade, Triton.
_GOING_ON = frozenset({"null", "none", "unspecified", "not_finished"})


def _kind(word: str) -> str:
    return word.lower().replace("-", "_").removeprefix("finish_reason_").removeprefix("finishreason.")


def is_reason(reason: Any) -> bool:
    """Whether a reason was given: some write until the end the word null, or that there is none yet."""
    return bool(reason) and not (isinstance(reason, str) and _kind(reason) in _GOING_ON)


def reason_text(reason: Any) -> str:
    """The reason in one word: SGLang may send an object with the word under `type`."""
    if isinstance(reason, Mapping):
        return str(reason.get("type") or reason.get("reason") or "unknown")
    return str(reason)


def failure_of(reason: Any) -> Failure | None:
    """The failure that a reason to stop stands for, with the words beside it; None for an end that is none."""
    word = reason_text(reason)
    kind = _kind(word)
    if kind in _BLOCKED:
        return Failure("blocked", f"the answer was ended or replaced by a filter: {word}")
    if kind in _BROKEN:
        said = error_text({key: value for key, value in reason.items() if key not in ("type", "reason")}) if (
            isinstance(reason, Mapping) and len(reason) > 1) else ""
        return Failure("stream_error", f"the server broke the answer off: {word}{f': {said}' if said else ''}")
    return None
