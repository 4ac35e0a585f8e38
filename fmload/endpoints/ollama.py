"""Ollama's own protocol: `/api/chat`, one JSON object a line, with the server's own times at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from fmload.config.schema import EndpointSpec
from fmload.endpoints import json_answers
from fmload.endpoints.answer import Answer
from fmload.endpoints.http import HttpOptions, HttpProtocol, images_alone
from fmload.endpoints.json_answers import Json
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange

_END = "a line with done"
# Keys of the request itself; all other parameters are `options` of the model.
_OWN = ("format", "think", "keep_alive", "tools", "options", "logprobs", "top_logprobs")
_NAMES = {"max_tokens": "num_predict", "max_completion_tokens": "num_predict"}
_TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")  # ns


class Ollama:
    """The codec of one endpoint."""

    def __init__(self, spec: EndpointSpec) -> None:
        self._parameters = spec.parameters
        self._streamed = spec.stream
        self._model = {"model": spec.model} if spec.model is not None else {}

    def body(self, prompt: Prompt) -> dict[str, Any]:
        chosen = {_NAMES.get(name, name): value
                  for parameters in (self._parameters, prompt.parameters) for name, value in parameters.items()}
        own = {name: chosen.pop(name) for name in _OWN if name in chosen}
        chosen.pop("tool_choice", None)  # it has none
        options = {**chosen, **own.pop("options", {})}
        if prompt.output_tokens is not None:
            options["num_predict"] = prompt.output_tokens
        messages = [_message(message) for message in prompt.as_messages()]
        return {**self._model, "messages": messages, "stream": self._streamed, **own,
                **({"options": options} if options else {})}

    def read(self, exchange: Exchange) -> Reading:
        return json_answers.read(exchange, _read, _END, self._streamed)

    def carries_token(self, body: bytes) -> bool:
        return json_answers.has_token(body, _read)


def _message(message: Json) -> dict[str, Any]:
    """Pictures stand beside the text, and the arguments of calls are objects."""
    made: dict[str, Any] = {"role": message["role"], "content": message.get("content") or ""}
    if isinstance(parts := message.get("content"), list):
        made["content"] = "".join(part.get("text", "") for part in parts)
        urls = [part["image_url"] for part in parts if part.get("type") == "image_url"]
        if urls:
            made["images"] = [(url["url"] if isinstance(url, Mapping) else url).partition(";base64,")[2]
                              for url in urls]
    if calls := message.get("tool_calls"):
        made["tool_calls"] = [{"function": {"name": call["function"]["name"], "arguments": orjson.loads(
            call["function"].get("arguments") or "{}")}} for call in calls]
    if message["role"] == "tool" and message.get("name"):
        made["tool_name"] = message["name"]
    return made


def _read(answer: Answer, line: Json, end: int) -> None:
    """Add one line, or a whole answer. Raises one of MALFORMED for what is neither."""
    message = line["message"] if "message" in line else {"content": line["response"], "thinking": line.get("thinking")}
    answer.add(end, message.get("thinking"), "reasoning")
    answer.add(end, message.get("content"))
    for call in message.get("tool_calls") or ():
        function, place = call["function"], len(answer.calls.all())
        answer.add(end, f"{function['name']}{function.get('arguments')}", "tool")
        answer.calls.begin(place, call.get("id"), function["name"])
        answer.calls.add(place, function.get("arguments"))
    if line.get("done"):
        answer.ended = True
        answer.finish(line.get("done_reason"))
        answer.usage(line.get("prompt_eval_count"), line.get("eval_count"))
        for name in _TIMES:
            answer.note(name, line.get(name))


def _path(base: str, spec: EndpointSpec) -> str:
    return f"{base.removesuffix('/v1').removesuffix('/api')}/api/chat"


OLLAMA = HttpProtocol(HttpOptions, Ollama, _path, carries=images_alone)
