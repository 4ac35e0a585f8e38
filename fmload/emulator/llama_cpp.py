"""llama.cpp's own protocol: `/completion` read and answered, with the tokens so far in every event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from fmload.emulator import openai
from fmload.emulator.dialect import Ask, Usage, Whole
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Request, Unfit
from fmload.emulator.plane import Opened, Plane, bearer_key
from fmload.emulator.settings import Settings

_STOPS = {"length": "limit", "stop": "eos"}


def _open(request: Request, number: int, settings: Settings) -> Opened:
    body = openai.parse_json(request.body)
    if not isinstance(body.get("prompt"), str):
        raise Unfit('"prompt" must be a string')
    ask = Ask([body["prompt"]], stream=bool(body.get("stream")), ignore_eos=bool(body.get("ignore_eos")),
              max_tokens=openai.positive(body.get("n_predict"), "n_predict"))
    return Opened(ask, odd_of(request, settings, LlamaCppDialect()))


class LlamaCppDialect:
    """Server-sent events of one completion."""

    content_type = "text/event-stream"
    headers: Mapping[str, str] = {}
    finish_with_last, usage_each = False, True

    def opening(self, usage: Usage) -> bytes:
        return b""

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        made, fed = (usage.output_tokens, usage.input_tokens) if usage is not None else (0, 0)
        return _event({"index": 0, "content": text, "tokens": [made], "stop": False, "id_slot": -1,
                       "tokens_predicted": made, "tokens_evaluated": fed})

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        return _event(self._last("", finish or "stop", usage))

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        return _event({"error": {"code": 500, "message": message, "type": "server_error"}})

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        return Whole(orjson.dumps(self._last(text, finish, usage)))

    def _last(self, text: str, finish: str, usage: Usage) -> dict[str, Any]:
        decode_ms = usage.latency_ms - usage.first_token_ms
        return {"index": 0, "content": text, "tokens": [], "id_slot": 0, "stop": True, "model": "emulated",
                "tokens_predicted": usage.output_tokens, "tokens_evaluated": usage.input_tokens, "truncated": False,
                "stop_type": _STOPS.get(finish, finish), "stopping_word": "", "tokens_cached": usage.cached_tokens,
                "timings": {"cache_n": usage.cached_tokens, "prompt_n": usage.input_tokens - usage.cached_tokens,
                            "prompt_ms": usage.first_token_ms, "predicted_n": usage.output_tokens,
                            "predicted_ms": decode_ms}}


def _event(message: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(message) + b"\n\n"


PLANE = Plane("llama_cpp", lambda path: path in ("/completion", "/completions"), _open, openai.refusal, bearer_key)
