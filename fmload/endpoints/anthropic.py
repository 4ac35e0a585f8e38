"""Anthropic's Messages: a chat in OpenAI's form, or in its own, as it takes it; and the events of its answers.

Direct (`protocol: anthropic`), by servers that speak it too (vLLM, llama.cpp, LiteLLM), and in Bedrock's InvokeModel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import orjson
from pydantic import Field

from fmload.config.schema import EndpointSpec
from fmload.endpoints import json_answers
from fmload.endpoints.answer import Answer
from fmload.endpoints.converse import Json
from fmload.endpoints.failures import error_text
from fmload.endpoints.http import HttpOptions, HttpProtocol, images_alone
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Address, Exchange


class Options(HttpOptions):
    """The further keys of an endpoint with `protocol: anthropic`."""

    cache: Literal["5m", "1h"] | None = Field(
        None, description="mark tools, system and last turn (cache_control): the prompt cache keeps them for so long")


class Messages:
    """The codec of one endpoint."""

    def __init__(self, spec: EndpointSpec) -> None:
        self._spec = spec
        self._streamed = spec.stream
        self._mark = None if spec.options.cache is None else {"type": "ephemeral", **(
            {"ttl": "1h"} if spec.options.cache == "1h" else {})}

    def body(self, prompt: Prompt) -> dict[str, Any]:
        made = body(prompt, self._spec.parameters)
        if self._spec.model is not None:
            made["model"] = self._spec.model
        if self._streamed:
            made["stream"] = True
        return made if self._mark is None else _marked(made, self._mark)

    def read(self, exchange: Exchange) -> Reading:
        return json_answers.read(exchange, read, "message_stop", self._streamed)

    def carries_token(self, body: bytes) -> bool:
        return json_answers.has_token(body, read)


def _marked(made: dict[str, Any], mark: Json) -> dict[str, Any]:
    """With what is worth keeping marked: up to four marks are allowed in a request."""
    if made.get("tools"):
        made["tools"] = [*made["tools"][:-1], {**made["tools"][-1], "cache_control": mark}]
    if made.get("system"):
        made["system"] = _marked_blocks(made["system"], mark)
    if made["messages"]:
        *before, last = made["messages"]
        made["messages"] = [*before, {**last, "content": _marked_blocks(last["content"], mark)}]
    return made


def _marked_blocks(content: Any, mark: Json) -> Any:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [*blocks[:-1], {**blocks[-1], "cache_control": mark}] if blocks else content


def body(prompt: Prompt, parameters: Json) -> dict[str, Any]:
    """System, messages and parameters. What an earlier block caches (`cache_control`) stays cached."""
    chosen = {**parameters, **prompt.parameters}
    if "stop" in chosen:
        stop = chosen.pop("stop")
        chosen.setdefault("stop_sequences", [stop] if isinstance(stop, str) else stop)
    if "max_completion_tokens" in chosen:
        chosen.setdefault("max_tokens", chosen.pop("max_completion_tokens"))
    if isinstance(chosen.get("tools"), list):
        chosen["tools"] = [_tool(tool) for tool in chosen["tools"]]
    if isinstance(choice := chosen.get("tool_choice"), str):
        chosen["tool_choice"] = {"type": {"required": "any"}.get(choice, choice)}
    elif isinstance(choice, Mapping) and isinstance(function := choice.get("function"), Mapping):
        chosen["tool_choice"] = {"type": "tool", "name": function.get("name")}
    system, messages = _chat(prompt)
    if prompt.output_tokens is not None:
        chosen["max_tokens"] = prompt.output_tokens
    return {"messages": messages, **({"system": system} if system else {}), **chosen}


def _tool(tool: Json) -> Json:
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return tool
    made = {"name": function.get("name"), "input_schema": function.get("parameters") or {"type": "object"}}
    return {**made, **({"description": function["description"]} if function.get("description") else {})}


def _chat(prompt: Prompt) -> tuple[str | list[Any], list[dict[str, Any]]]:
    system: list[Any] = []
    messages: list[dict[str, Any]] = []
    for message in prompt.as_messages():
        if message["role"] in ("system", "developer"):
            system.append(message["content"])
        elif message["role"] == "tool":
            result = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"),
                      "content": message.get("content") or ""}
            if messages and messages[-1]["role"] == "user" and isinstance(messages[-1]["content"], list):
                messages[-1]["content"].append(result)
            else:
                messages.append({"role": "user", "content": [result]})
        else:
            messages.append(_turn(message))
    if all(isinstance(one, str) for one in system):
        return "\n\n".join(system), messages
    blocks = [[{"type": "text", "text": one}] if isinstance(one, str) else one for one in system]
    return [block for one in blocks for block in one], messages


def _turn(message: Json) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, list):
        content = [_part(part) for part in content]
    if calls := message.get("tool_calls"):
        said = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
        content = [*said, *map(_tool_use, calls)]
    return {"role": message["role"], "content": content}


def _part(part: Any) -> Any:
    if not isinstance(part, Mapping) or part.get("type") != "image_url":
        return part
    address = part["image_url"]
    url = address["url"] if isinstance(address, Mapping) else address
    kind, separator, data = url.removeprefix("data:").partition(";base64,")
    if not separator:
        return {"type": "image", "source": {"type": "url", "url": url}}
    return {"type": "image", "source": {"type": "base64", "media_type": kind.replace("/jpg", "/jpeg"), "data": data}}


def _tool_use(call: Json) -> Json:
    function = call.get("function") or {}
    given = function.get("arguments") or "{}"
    return {"type": "tool_use", "id": call.get("id"), "name": function.get("name"),
            "input": orjson.loads(given) if isinstance(given, str) else given}


def read(answer: Answer, event: Json, end: int) -> None:
    """Add one event of a stream, or a whole message. Raises one of MALFORMED for what is neither."""
    kind = event["type"]
    if kind == "message_start":
        _usage(answer, {**(event["message"].get("usage") or {}), "output_tokens": None})  # a first guess
    elif kind == "content_block_start":
        _block_start(answer, event["content_block"], end, event.get("index"))
    elif kind == "content_block_delta":
        delta = event["delta"]
        answer.add(end, delta.get("thinking"), "reasoning")
        answer.add(end, delta.get("text"))
        answer.add(end, delta.get("partial_json"), "tool")
        if delta.get("partial_json"):
            answer.calls.add(event.get("index"), delta["partial_json"])
    elif kind == "message_delta":
        answer.finish(event["delta"].get("stop_reason"))
        told = event.get("usage") or {}
        _usage(answer, told if "cache_read_input_tokens" in told or not answer.input_told else {
            **told, "input_tokens": None})
    elif kind == "message_stop":
        answer.ended = True
    elif kind == "message":  # whole, not streamed
        for place, block in enumerate(event["content"]):
            answer.add(end, block.get("thinking"), "reasoning")
            if block.get("data"):
                answer.add_sealed(end)
            answer.add(end, block.get("text"))
            answer.add(end, str(block["input"]) if str(block.get("type")).endswith("tool_use") else None, "tool")
            if str(block.get("type")).endswith("tool_use"):
                answer.calls.begin(place, block.get("id"), block.get("name"))
                answer.calls.add(place, block["input"])
        answer.finish(event.get("stop_reason"))
        _usage(answer, event.get("usage") or {})
    elif kind == "error":
        error = event.get("error") or {}
        words = f"{error.get('type')}: {error.get('message')}" if isinstance(error, Mapping) else error_text(error)
        limited = isinstance(error, Mapping) and error.get("type") == "rate_limit_error"
        answer.fail("throttled" if limited else "stream_error", words[:500])


def _block_start(answer: Answer, block: Json, end: int, place: Any) -> None:
    if str(block.get("type")).endswith("tool_use"):
        answer.add(end, block.get("name"), "tool")
        answer.calls.begin(place, block.get("id"), block.get("name"))
    elif block.get("data"):  # redacted thinking comes whole, with the start of its block
        answer.add_sealed(end)
    else:
        answer.add(end, block.get("text"))


def _usage(answer: Answer, told: Json) -> None:
    answer.tell(told)
    creation = told.get("cache_creation")
    answer.wrote(told.get("cache_creation_input_tokens"),
                 creation.get("ephemeral_1h_input_tokens") if isinstance(creation, Mapping) else None)


def _path(base: str, spec: EndpointSpec) -> str:
    return base if base.endswith("/messages") else (base or "/v1") + "/messages"


def _key(key: str, address: Address) -> tuple[str, str]:
    return "x-api-key", key


ANTHROPIC = HttpProtocol(Options, Messages, _path, _key, headers={"anthropic-version": "2023-06-01"}, BASE_PATH="/v1",
                         carries=images_alone)
