"""Ollama's own protocol: chats read, and one JSON object a line written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from fmload.emulator import openai
from fmload.emulator.dialect import Ask, Usage, Whole
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Refusal, Request, json_refusal
from fmload.emulator.media import seen_in
from fmload.emulator.plane import Opened, Plane
from fmload.emulator.settings import Settings


def refusal(status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None,
            outcome: str = "rejected") -> Refusal:
    """An error in Ollama's shape."""
    return json_refusal(status, {"error": message}, headers, outcome)


def _open(request: Request, number: int, settings: Settings) -> Opened:
    body = openai.parse_json(request.body)
    options = body.get("options") or {}
    ask = Ask(openai.messages_texts(body.get("messages")), chat=True, model=str(body.get("model") or ""),
              stream=bool(body.get("stream", True)),
              max_tokens=openai.positive(options.get("num_predict"), "num_predict"),
              roles=[str(message.get("role") or "user") for message in body["messages"]],
              media=seen_in(body["messages"]))
    if settings.models and ask.model not in settings.models:
        raise refusal(404, f"model '{ask.model}' not found")
    return Opened(ask, odd_of(request, settings, OllamaDialect(ask, body, number)))


class OllamaDialect:
    """Lines of one answer. A call comes in one piece, before the last line. There is no choice of a tool in this
    protocol: the first that is given is called."""

    content_type = "application/x-ndjson"
    headers: Mapping[str, str] = {}
    finish_with_last = usage_each = False

    def __init__(self, ask: Ask, body: Mapping[str, Any], number: int) -> None:
        self._call = openai.forced_call({"tools": body.get("tools"), "tool_choice": "required"}, number)
        self._said: list[str] = []
        stamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self._common = {"model": ask.model, "created_at": stamp}
        common = orjson.dumps(self._common)[:-1] + b',"message":{"role":"assistant","content":"'
        self._before, self._before_thought = common, common + b'","thinking":"'
        self._after = b'"},"done":false}\n'

    def opening(self, usage: Usage) -> bytes:
        return b""

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        if self._call is not None and not reasoning:
            self._said.append(text)
            return b""
        before = self._before_thought if reasoning else self._before
        return before + orjson.dumps(text)[1:-1] + self._after

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        called = b""
        if self._call is not None:
            called = self._line(self._message("", "", "".join(self._said)), done=False)
        message = {"role": "assistant", "content": ""}
        return called + self._line(message, done=True, done_reason=finish or "stop", **_account(usage))

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        return orjson.dumps({"error": message}) + b"\n"

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        message = self._message(text, reasoning, text)
        return Whole(self._line(message, done=True, done_reason=finish, **_account(usage)))

    def _message(self, text: str, reasoning: str, argument: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text if self._call is None else ""}
        if reasoning:
            message["thinking"] = reasoning
        if self._call is not None:
            function = self._call.whole(argument)["function"]
            message["tool_calls"] = [{"function": {"name": function["name"],
                                                   "arguments": orjson.loads(function["arguments"])}}]
        return message

    def _line(self, message: dict[str, Any], **more: Any) -> bytes:
        return orjson.dumps({**self._common, "message": message, **more}) + b"\n"


def _account(usage: Usage) -> dict[str, int]:
    """Counts, and times in ns."""
    first, total = usage.first_token_ms * 1_000_000, usage.latency_ms * 1_000_000
    return {"total_duration": total, "load_duration": 0, "prompt_eval_count": usage.input_tokens,
            "prompt_eval_duration": first, "eval_count": usage.output_tokens, "eval_duration": total - first}


PLANE = Plane("ollama", lambda path: path == "/api/chat", _open, refusal)
