"""llama.cpp's own protocol: `/completion`, with the tokens so far in every event and the server's times at its end."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fmload.config.schema import EndpointSpec
from fmload.endpoints import json_answers
from fmload.endpoints.answer import Answer
from fmload.endpoints.http import HttpOptions, HttpProtocol
from fmload.endpoints.json_answers import Json
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange

_END = "an event with stop"
_NAMES = {"max_tokens": "n_predict", "max_completion_tokens": "n_predict"}


class Options(HttpOptions):
    """The further keys of an endpoint with `protocol: llama_cpp`."""

    exact_output_parameters: dict[str, Any] = Field(
        default_factory=lambda: {"ignore_eos": True},
        description="sent for `exact_output`; `$max_tokens` stands for the length")


class LlamaCpp:
    """The codec of one endpoint. A chat is sent as one text: its template is the affair of the chat's own protocols."""

    def __init__(self, spec: EndpointSpec) -> None:
        self._parameters = spec.parameters
        self._streamed = spec.stream

    def body(self, prompt: Prompt) -> dict[str, Any]:
        chosen = {_NAMES.get(name, name): value
                  for parameters in (self._parameters, prompt.parameters) for name, value in parameters.items()}
        if prompt.output_tokens is not None:
            chosen["n_predict"] = prompt.output_tokens
        return {"prompt": prompt.as_text(), "stream": self._streamed, **chosen}

    def read(self, exchange: Exchange) -> Reading:
        return json_answers.read(exchange, _read, _END, self._streamed)

    def carries_token(self, body: bytes) -> bool:
        return json_answers.has_token(body, _read)


def _read(answer: Answer, event: Json, end: int) -> None:
    """Add one event, or a whole answer. Raises one of MALFORMED for what is neither."""
    text, made = event["content"], event.get("tokens_predicted")
    running = isinstance(made, int) and not event.get("stop")
    if not running or not answer.add_running(end, int(made or 0), text):
        answer.add(end, text)
    timings = event.get("timings") or {}
    answer.usage(event.get("tokens_evaluated"), made, timings.get("cache_n"))
    answer.note("timings", timings or None)
    if event.get("stop"):
        answer.ended = True
        answer.finish(event.get("stop_type"))


def _path(base: str, spec: EndpointSpec) -> str:
    return f"{base.removesuffix('/v1')}/completion"


LLAMA_CPP = HttpProtocol(Options, LlamaCpp, _path)
