"""Bedrock's runtime: Converse, ConverseStream, InvokeModel and InvokeModelWithResponseStream."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import orjson

from fmload.emulator import aws, eventstream, images, inputs, openai
from fmload.emulator.bedrock_bodies import Family, family_of
from fmload.emulator.converse_rules import problem
from fmload.emulator.dialect import Ask, Dialect, Usage, Whole
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Request, Unfit
from fmload.emulator.media import seen_in
from fmload.emulator.plane import Opened, Plane
from fmload.emulator.settings import Settings

_PATH = re.compile(r"/model/(.+)/(converse|converse-stream|invoke|invoke-with-response-stream)$")
_STOP = {"length": "max_tokens", "stop": "end_turn", "content_filter": "content_filtered"}
_refuse = aws.refusal("message", {
    400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException",
    404: "ResourceNotFoundException", 408: "ModelTimeoutException", 424: "ModelErrorException",
    429: "ThrottlingException", 500: "InternalServerException", 503: "ServiceUnavailableException"})


def _open(request: Request, number: int, settings: Settings) -> Opened:
    aws.require_signature(request, _refuse)
    model, operation = split_path(request.path) or ("", "")
    if settings.models and model not in settings.models:
        raise _refuse(400, "The provided model identifier is invalid.", "ValidationException")
    body, stream = openai.parse_json(request.body), operation.endswith("stream")
    if operation.startswith("converse"):
        return Opened(parse_converse(model, body, stream), odd_of(request, settings, ConverseDialect(_cache_ttl(body))))
    if (asked := inputs.asked_of(body)) is not None:
        opened = inputs.opened(asked, body, request, settings)
        return Opened(opened.ask, _Invoked(opened.dialect))
    if (painted := images.asked_of_bedrock(body) or _of_stability(model, body)) is not None:
        opened = images.opened(painted, body, request, number, settings)
        return Opened(opened.ask, _Invoked(opened.dialect))
    family = family_of(model, body)
    ask = family.parse(body)
    ask.model, ask.stream = model, stream
    return Opened(ask, odd_of(request, settings, InvokeDialect(family())))


def _of_stability(model: str, body: Mapping[str, Any]) -> images.Asked | None:
    return images.asked_of_stability(body) if "stability." in model else None


class _Invoked:
    """A whole answer to InvokeModel, with the counts that Bedrock tells in its headers."""

    def __init__(self, inner: Dialect) -> None:
        self._inner, self.headers, self.content_type = inner, inner.headers, inner.content_type
        self.finish_with_last = self.usage_each = False
        self.opening, self.token, self.closing = inner.opening, inner.token, inner.closing
        self.trailer, self.error = inner.trailer, inner.error

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        whole = self._inner.whole(text, reasoning, finish, usage)
        return Whole(whole.body, whole.content_type, {
            **whole.headers, "X-Amzn-Bedrock-Input-Token-Count": str(usage.input_tokens),
            "X-Amzn-Bedrock-Invocation-Latency": str(usage.latency_ms)})


def split_path(path: str) -> tuple[str, str] | None:
    """(model id, operation) of a Bedrock path, or None."""
    found = _PATH.match(path)
    return (found[1], found[2]) if found else None


def parse_converse(model: str, body: dict[str, Any], stream: bool) -> Ask:
    """What a Converse request asks for. Raises Unfit for what Converse refuses."""
    if wrong := problem(body):
        raise Unfit(wrong)
    texts = [part["text"] for part in body.get("system") or [] if "text" in part]
    texts += openai.messages_texts(body.get("messages"))
    config = body.get("inferenceConfig") or {}
    return Ask(texts, chat=True, model=model, stream=stream,
               max_tokens=openai.positive(config.get("maxTokens"), "maxTokens"), media=seen_in(body.get("messages")))


class ConverseDialect:
    """Frames of ConverseStream; `p` is the padding that Bedrock adds against traffic analysis."""

    content_type = eventstream.CONTENT_TYPE
    headers: Mapping[str, str] = {}
    finish_with_last = usage_each = False

    def __init__(self, cache_ttl: str | None = None) -> None:
        """`cache_ttl`: for how long what is not cached yet is written to the cache; None: it is not."""
        self._thinking: bool | None = None
        self._block = 0
        self._cache_ttl = cache_ttl

    def opening(self, usage: Usage) -> bytes:
        return _event("messageStart", {"role": "assistant", "p": "abcdefgh"})

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        before = b""
        if self._thinking and not reasoning:  # the reasoning has a block of its own
            before, self._block = self._stop_block(), self._block + 1
        self._thinking = reasoning
        delta = {"reasoningContent": {"text": text}} if reasoning else {"text": text}
        return before + _event("contentBlockDelta", {"contentBlockIndex": self._block, "delta": delta,
                                                     "p": "abcdefghijklmnop"})

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        stop = _event("messageStop", {"stopReason": _STOP.get(finish or "stop", "end_turn"), "p": "abcd"})
        return self._stop_block() + stop + _event("metadata", {"usage": _usage(usage, self._cache_ttl),
                                                               "metrics": {"latencyMs": usage.latency_ms}})

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        return error_frame(aws, message, how)

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        content: list[dict[str, Any]] = [{"text": text}]
        if reasoning:
            content.insert(0, {"reasoningContent": {"reasoningText": {"text": reasoning}}})
        return Whole(orjson.dumps({"output": {"message": {"role": "assistant", "content": content}},
                                   "stopReason": _STOP[finish], "usage": _usage(usage, self._cache_ttl),
                                   "metrics": {"latencyMs": usage.latency_ms}}))

    def _stop_block(self) -> bytes:
        return _event("contentBlockStop", {"contentBlockIndex": self._block, "p": "ab"})


class InvokeDialect:
    """Frames of InvokeModelWithResponseStream: the model's own objects, base64 in `chunk` events."""

    content_type = eventstream.CONTENT_TYPE
    headers: Mapping[str, str] = {"X-Amzn-Bedrock-Content-Type": "application/json"}
    finish_with_last = False
    usage_each = True

    def __init__(self, family: Family) -> None:
        self._family = family

    def opening(self, usage: Usage) -> bytes:
        return _chunks(self._family.opening(usage))

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        return _chunks([self._family.token(text, usage.output_tokens if usage is not None else 0)])

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        objects = self._family.closing(finish or "stop", usage)
        objects[-1]["amazon-bedrock-invocationMetrics"] = {
            "inputTokenCount": usage.input_tokens, "outputTokenCount": usage.output_tokens,
            "invocationLatency": usage.latency_ms, "firstByteLatency": usage.first_token_ms}
        return _chunks(objects)

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        return error_frame(aws, message, how)

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        headers = {"X-Amzn-Bedrock-Input-Token-Count": str(usage.input_tokens),
                   "X-Amzn-Bedrock-Output-Token-Count": str(usage.output_tokens),
                   "X-Amzn-Bedrock-Invocation-Latency": str(usage.latency_ms)}
        return Whole(orjson.dumps(self._family.whole(text, finish, usage)), headers=headers)


def error_frame(aws: str | None, message: str, how: str) -> bytes:
    """A failure inside a stream: an exception of Bedrock's model, or an unmodelled error frame."""
    if how == "error":
        return eventstream.error(aws or "InternalError", message)
    name = aws or "ModelStreamErrorException"
    body: dict[str, Any] = {"message": message}
    if name.lower().startswith("modelstreamerror"):
        body |= {"originalStatusCode": 424, "originalMessage": message}
    return eventstream.exception(name[0].lower() + name[1:], orjson.dumps(body))


def _cache_ttl(body: Mapping[str, Any]) -> str | None:
    """Of the last cache point of a request; None where it has none."""
    found = re.findall(rb'"cachePoint":\{"type":"default"(?:,"ttl":"(5m|1h)")?', orjson.dumps(body))
    return (found[-1].decode() or "5m") if found else None


def _usage(usage: Usage, cache_ttl: str | None) -> dict[str, Any]:
    """What came from the cache, and what was written to it, count apart from the rest of the input."""
    fresh = usage.input_tokens - usage.cached_tokens
    written = fresh if cache_ttl is not None else 0
    details = {"cacheDetails": [{"ttl": cache_ttl, "inputTokens": written}]} if written else {}
    return {"inputTokens": fresh - written, "outputTokens": usage.output_tokens,
            "totalTokens": usage.input_tokens + usage.output_tokens, "cacheReadInputTokens": usage.cached_tokens,
            "cacheWriteInputTokens": written, **details}


def _event(kind: str, value: object) -> bytes:
    return eventstream.event(kind, orjson.dumps(value))


def _chunks(objects: list[dict[str, Any]]) -> bytes:
    return b"".join(_event("chunk", {"bytes": base64.b64encode(orjson.dumps(value)).decode(), "p": "abcdefgh"})
                    for value in objects)


PLANE = Plane("bedrock", lambda path: split_path(path) is not None, _open, _refuse, request_id_header=aws.REQUEST_ID)
