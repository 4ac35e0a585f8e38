"""Triton's generate extension, as the backends of TensorRT-LLM and vLLM answer it: texts alone."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from fmload.emulator import ollama, openai
from fmload.emulator.dialect import Ask, Usage, Whole
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Request, Unfit
from fmload.emulator.plane import Opened, Plane
from fmload.emulator.settings import Settings

_PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/[^/]+)?/generate(_stream)?$")


def _open(request: Request, number: int, settings: Settings) -> Opened:
    found = _PATH.match(request.path)
    assert found is not None
    body = openai.parse_json(request.body)
    if not isinstance(body.get("text_input"), str):
        raise Unfit("expected 'text_input', a string")
    given = {**body, **(body.get("parameters") or {})}
    ask = Ask([body["text_input"]], model=found[1], stream=found[2] is not None,
              max_tokens=openai.positive(given.get("max_tokens"), "max_tokens"))
    if settings.models and ask.model not in settings.models:
        raise ollama.refusal(400, f"Request for unknown model: '{ask.model}' is not found")
    return Opened(ask, odd_of(request, settings, TritonDialect(ask.model)))


class TritonDialect:
    """Server-sent events of one answer: it ends with its response."""

    content_type = "text/event-stream; charset=utf-8"
    headers: Mapping[str, str] = {}
    finish_with_last = usage_each = False

    def __init__(self, model: str) -> None:
        self._common = {"model_name": model, "model_version": "1"}
        self._before = b"data: " + orjson.dumps(self._common)[:-1] + b',"text_output":"'

    def opening(self, usage: Usage) -> bytes:
        return b""

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        return self._before + orjson.dumps(text)[1:-1] + b'"}\n\n'

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        return b""

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        return b"data: " + orjson.dumps({"error": message}) + b"\n\n"

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        return Whole(orjson.dumps({**self._common, "text_output": text}))


PLANE = Plane("triton", lambda path: _PATH.match(path) is not None, _open, ollama.refusal)
