"""Anthropic's Messages: a chat in OpenAI's form, or in its own, as it takes it; and the events of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from fmload.endpoints.answer import Answer
from fmload.endpoints.converse import Json
from fmload.endpoints.failures import error_text
from fmload.model.prompt import Prompt


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
        _usage(answer, told if "cache_read_input_tokens" in told else {**told, "input_tokens": None})
    elif kind == "message_stop":
        answer.ended = True
    elif kind == "message":  # whole, not streamed
        for place, block in enumerate(event["content"]):
            answer.add(end, block.get("thinking") or ("redacted" if block.get("data") else None), "reasoning")
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
        answer.fail("stream_error", words[:500])


def _block_start(answer: Answer, block: Json, end: int, place: Any) -> None:
    if str(block.get("type")).endswith("tool_use"):
        answer.add(end, block.get("name"), "tool")
        answer.calls.begin(place, block.get("id"), block.get("name"))
    elif block.get("data"):  # redacted thinking comes whole, with the start of its block
        answer.add(end, "redacted", "reasoning")
    else:
        answer.add(end, block.get("text"))


def _usage(answer: Answer, told: Json) -> None:
    answer.tell(told)
    creation = told.get("cache_creation")
    answer.wrote(told.get("cache_creation_input_tokens"),
                 creation.get("ephemeral_1h_input_tokens") if isinstance(creation, Mapping) else None)
