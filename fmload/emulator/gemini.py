"""Google's Gemini: requests read, and responses written as AI Studio and Vertex AI write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from fmload.emulator import openai
from fmload.emulator.dialect import Ask, Usage, Whole
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Refusal, Request, Unfit, json_refusal
from fmload.emulator.media import seen_in
from fmload.emulator.plane import Opened, Plane, key_in
from fmload.emulator.settings import Settings

_PATH = re.compile(r"/v1(?:beta|beta1|alpha)?/(?:projects/[^/]+/locations/[^/]+/publishers/[^/]+/)?models/([^/:]+):"
                   r"(streamG|g)enerateContent$")
_KINDS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
          429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
_REASONS = {"length": "MAX_TOKENS", "stop": "STOP", "content_filter": "SAFETY"}


def refusal(status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None,
            outcome: str = "rejected") -> Refusal:
    """An error in Google's shape."""
    error = {"code": status, "message": message, "status": _KINDS.get(status, "INTERNAL")}
    return json_refusal(status, {"error": error}, headers, outcome)


def _open(request: Request, number: int, settings: Settings) -> Opened:
    found = _PATH.match(request.path)
    assert found is not None
    stream = found[2] == "streamG"
    if stream and "alt=sse" not in request.query:
        raise Unfit("only alt=sse is emulated: without it the answer is one array")
    body = openai.parse_json(request.body)
    ask = parse(body, found[1], stream)
    if settings.models and ask.model not in settings.models:
        raise refusal(404, f"models/{ask.model} is not found for API version v1beta")
    return Opened(ask, odd_of(request, settings, GeminiDialect(ask, body, number)))


def parse(body: dict[str, Any], model: str, stream: bool) -> Ask:
    """What a request asks for. Raises Unfit."""
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise Unfit("* GenerateContentRequest.contents: contents is not specified")
    system = body.get("systemInstruction") or body.get("system_instruction")
    turns = [system, *contents] if system else contents
    config = body.get("generationConfig") or {}
    return Ask([_text(turn) for turn in turns], chat=True, model=model, stream=stream,
               max_tokens=openai.positive(config.get("maxOutputTokens"), "maxOutputTokens"),
               roles=["system"] * bool(system) + [str(turn.get("role") or "user") for turn in contents],
               media=seen_in(contents))


def _text(turn: Any) -> str:
    return "".join(str(part.get("text") or "") for part in turn.get("parts") or ())


class GeminiDialect:
    """Server-sent events of one response, with the tokens so far in each. A call comes in one piece, at the end."""

    content_type = "text/event-stream"
    headers: Mapping[str, str] = {}
    finish_with_last, usage_each = False, True

    def __init__(self, ask: Ask, body: Mapping[str, Any], number: int) -> None:
        self._common = {"modelVersion": ask.model, "responseId": f"r{number:08x}"}
        self._call = openai.forced_call(_as_chat(body), number)
        self._said: list[str] = []

    def opening(self, usage: Usage) -> bytes:
        return b""

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        if self._call is not None and not reasoning:
            self._said.append(text)
            return b""
        return _event(self._response([_part(text, reasoning)], None, usage))

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        parts = [_part("", False)] if self._call is None else [self._called("".join(self._said))]
        return _event(self._response(parts, finish or "stop", usage))

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        return _event({"error": {"code": 503, "message": message, "status": aws or "UNAVAILABLE"}})

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        parts = [_part(reasoning, True)] if reasoning else []
        parts.append(_part(text, False) if self._call is None else self._called(text))
        return Whole(orjson.dumps(self._response(parts, finish, usage)))

    def _called(self, text: str) -> dict[str, Any]:
        assert self._call is not None
        function = self._call.whole(text)["function"]
        return {"functionCall": {"name": function["name"], "args": orjson.loads(function["arguments"])}}

    def _response(self, parts: list[dict[str, Any]], finish: str | None, usage: Usage | None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if finish is not None:
            candidate["finishReason"] = _REASONS.get(finish, finish)
        told = {} if usage is None else {"usageMetadata": _usage(usage)}
        return {"candidates": [candidate], **told, **self._common}


def _part(text: str, thought: bool) -> dict[str, Any]:
    return {"text": text, "thought": True} if thought else {"text": text}


def _usage(usage: Usage) -> dict[str, Any]:
    """Thoughts count apart from the answer."""
    kinds = {"TEXT": usage.input_tokens - sum(usage.kinds.values()),
             **{name.removesuffix("_tokens").upper(): count for name, count in usage.kinds.items()}}
    told: dict[str, Any] = {
            "promptTokensDetails": [{"modality": name, "tokenCount": count} for name, count in kinds.items()],
            "promptTokenCount": usage.input_tokens, "totalTokenCount": usage.input_tokens + usage.output_tokens,
            "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens}
    more = {"thoughtsTokenCount": usage.reasoning_tokens, "cachedContentTokenCount": usage.cached_tokens}
    return told | {name: count for name, count in more.items() if count}


def _event(message: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(message) + b"\r\n\r\n"


def _as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """Tools and the choice among them as OpenAI's chats have them."""
    tools = [{"function": {**one, "parameters": one.get("parameters") or one.get("parametersJsonSchema")}}
             for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()]
    choice = ((body.get("toolConfig") or {}).get("functionCallingConfig") or {})
    names = choice.get("allowedFunctionNames")
    forced = {"function": {"name": names[0]}} if names else "required"
    return {"tools": tools, "tool_choice": forced if choice.get("mode") == "ANY" else None}


PLANE = Plane("gemini", lambda path: _PATH.match(path) is not None, _open, refusal, key_in("x-goog-api-key"))
