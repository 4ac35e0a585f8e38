"""Anthropic's Messages: requests read, and the events of an answer written as Anthropic writes them."""

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

_PATH = re.compile(r"(/anthropic)?/v1/messages$")
_STOP = {"length": "max_tokens", "stop": "end_turn", "content_filter": "refusal"}
_KINDS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
          413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error"}


def refusal(status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None,
            outcome: str = "rejected") -> Refusal:
    """An error in Anthropic's shape."""
    error = {"type": _KINDS.get(status, "api_error"), "message": message}
    return json_refusal(status, {"type": "error", "error": error, "request_id": "req_emulated"}, headers, outcome)


def _open(request: Request, number: int, settings: Settings) -> Opened:
    if "anthropic-version" not in request.headers:
        raise Unfit("anthropic-version: header is required")
    body = openai.parse_json(request.body)
    ask = parse(body)
    if settings.models and ask.model not in settings.models:
        raise refusal(404, f"model: {ask.model}")
    return Opened(ask, odd_of(request, settings, MessagesDialect(ask, body, number)))


def parse(body: dict[str, Any]) -> Ask:
    """What a request asks for. Raises Unfit."""
    if body.get("max_tokens") is None:
        raise Unfit("max_tokens: Field required")
    system = [_text(body["system"])] if body.get("system") else []
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Unfit("messages: at least one message is required")
    wrong = [message["role"] for message in messages if message["role"] not in ("user", "assistant")]
    if wrong:
        raise Unfit(f"messages: unexpected role {wrong[0]!r}")
    return Ask(system + [_text(message.get("content")) for message in messages], chat=True,
               model=str(body.get("model") or ""), stream=bool(body.get("stream")),
               max_tokens=openai.positive(body["max_tokens"], "max_tokens"), ignore_eos=bool(body.get("ignore_eos")),
               roles=["system"] * len(system) + [str(message["role"]) for message in messages],
               media=seen_in(messages))


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(_text(part.get("text") or part.get("content")) for part in content)
    return str(content or "")


class MessagesDialect:
    """Server-sent events of one message: a block of thinking where there is any, then one of text, or a call."""

    content_type = "text/event-stream; charset=utf-8"
    headers: Mapping[str, str] = {"Cache-Control": "no-cache"}
    finish_with_last = usage_each = False

    def __init__(self, ask: Ask, body: Mapping[str, Any], number: int) -> None:
        self._call = openai.forced_call({"tools": [_wrapped(tool) for tool in body.get("tools") or ()],
                                         "tool_choice": _choice(body.get("tool_choice"))}, number)
        self._message = {"id": f"msg_{number:024x}", "type": "message", "role": "assistant", "model": ask.model}
        written = orjson.dumps(body)
        self._caches, self._for_1h = b'"cache_control"' in written, b'"ttl":"1h"' in written
        self._kind, self._index, self._before = "", -1, b""

    def opening(self, usage: Usage) -> bytes:
        message: dict[str, Any] = {**self._message, "content": [], "stop_reason": None, "stop_sequence": None,
                   "usage": self._usage(usage, 1)}
        return _event("message_start", message=message) + _event("ping")

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        kind = "thinking" if reasoning else "tool_use" if self._call is not None else "text"
        before = b"" if kind == self._kind else self._stop_block() + self._begin(kind)
        return before + self._delta(self._call.argument(text) if self._call is not None and not reasoning else text)

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        reason = self._reason(finish or "stop")
        closed = self._delta('"}') if self._kind == "tool_use" else b""
        return closed + self._stop_block() + _event(
            "message_delta", delta={"stop_reason": reason, "stop_sequence": None},
            usage=self._usage(usage, usage.output_tokens)) + _event("message_stop")

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        return _event("error", error={"type": aws or "overloaded_error", "message": message})

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        content: list[dict[str, Any]] = [{"type": "thinking", "thinking": reasoning, "signature": "c2ln"}]
        content = content if reasoning else []
        if self._call is None:
            content.append({"type": "text", "text": text})
        else:
            call = self._call.whole(text)
            content.append({"type": "tool_use", "id": call["id"], "name": self._call.name,
                            "input": orjson.loads(call["function"]["arguments"])})
        return Whole(orjson.dumps({**self._message, "content": content, "stop_reason": self._reason(finish),
                                   "stop_sequence": None, "usage": self._usage(usage, usage.output_tokens)}))

    def _reason(self, finish: str) -> str:
        return "tool_use" if self._call is not None and finish == "stop" else _STOP.get(finish, finish)

    def _begin(self, kind: str) -> bytes:
        self._kind, self._index = kind, self._index + 1
        blocks: dict[str, dict[str, Any]] = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}}
        if self._call is not None:
            blocks["tool_use"] = {"id": f"toolu_{self._message['id']}", "name": self._call.name, "input": {}}
        delta, field = {"thinking": ("thinking_delta", "thinking"), "text": ("text_delta", "text"),
                        "tool_use": ("input_json_delta", "partial_json")}[kind]
        begun = f'{{"type":"content_block_delta","index":{self._index},"delta":{{"type":"{delta}","{field}":"'
        self._before = b"event: content_block_delta\ndata: " + begun.encode()
        return _event("content_block_start", index=self._index, content_block={"type": kind, **blocks[kind]})

    def _delta(self, text: str) -> bytes:
        return self._before + orjson.dumps(text)[1:-1] + b'"}}\n\n'

    def _stop_block(self) -> bytes:
        if not self._kind:
            return b""
        signed = b""
        if self._kind == "thinking":
            signed = _event("content_block_delta", index=self._index,
                            delta={"type": "signature_delta", "signature": "c2ln"})
        return signed + _event("content_block_stop", index=self._index)

    def _usage(self, usage: Usage, output_tokens: int) -> dict[str, Any]:
        """What a cache held counts apart; the rest is written to it where the request marks what to keep."""
        fresh = usage.input_tokens - usage.cached_tokens
        written = fresh if self._caches else 0
        return {"input_tokens": fresh - written, "cache_read_input_tokens": usage.cached_tokens,
                "cache_creation_input_tokens": written, "output_tokens": output_tokens,
                "cache_creation": {"ephemeral_5m_input_tokens": 0 if self._for_1h else written,
                                   "ephemeral_1h_input_tokens": written if self._for_1h else 0}}


def _event(kind: str, **values: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + orjson.dumps({"type": kind, **values}) + b"\n\n"


def _wrapped(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as OpenAI's chats have it."""
    return {"type": "function", "function": {"name": tool["name"], "parameters": tool.get("input_schema")}}


def _choice(choice: Any) -> Any:
    kind = choice.get("type") if isinstance(choice, dict) else None
    return {"function": {"name": choice["name"]}} if kind == "tool" else "required" if kind == "any" else None


PLANE = Plane("anthropic", lambda path: _PATH.match(path) is not None, _open, refusal, key_in("x-api-key"),
              ping=_event("ping"))
