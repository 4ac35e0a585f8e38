"""Converse: a chat in OpenAI's or Anthropic's form, or in Converse's own, as Converse takes it; and its answers.

What has no place in Converse's form is refused with words that name it, never sent elsewhere or left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from fmload.base.base64_text import decoded
from fmload.base.errors import FmloadError
from fmload.model.prompt import Prompt

Json = Mapping[str, Any]
Blocks = list[dict[str, Any]]

# Content blocks of Converse's own form, taken as they are.
_OWN = frozenset({"text", "image", "document", "video", "audio", "toolUse", "toolResult", "guardContent", "cachePoint",
                  "reasoningContent", "citationsContent", "searchResult"})
# Arguments of the call besides messages, system and inferenceConfig.
_ARGUMENTS = frozenset({"toolConfig", "guardrailConfig", "performanceConfig", "requestMetadata", "promptVariables",
                        "additionalModelRequestFields", "additionalModelResponseFieldPaths", "serviceTier",
                        "outputConfig"})
# The names of other protocols are understood, so that one set of parameters serves endpoints side by side.
_INFERENCE = {"max_tokens": "maxTokens", "max_completion_tokens": "maxTokens", "temperature": "temperature",
              "top_p": "topP", "stop": "stopSequences", "stop_sequences": "stopSequences", "maxTokens": "maxTokens",
              "topP": "topP", "stopSequences": "stopSequences"}
_IMAGE = {"jpg": "jpeg", "pjpeg": "jpeg", "x-png": "png"}
_DOCUMENT = {"pdf": "pdf", "csv": "csv", "msword": "doc", "html": "html", "plain": "txt", "markdown": "md",
             "vnd.openxmlformats-officedocument.wordprocessingml.document": "docx", "vnd.ms-excel": "xls",
             "vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx"}
_VIDEO = {"quicktime": "mov", "x-matroska": "mkv", "3gpp": "three_gp"}
_data_url = re.compile(r"data:[\w.+-]+/([\w.+-]+)(?:;[\w=.-]+)*;base64,(.*)", re.DOTALL).fullmatch
_not_in_a_name = re.compile(r"[^A-Za-z0-9 ()\[\]-]+")


def arguments(prompt: Prompt, parameters: Json) -> dict[str, Any]:
    """Messages, inference parameters and further arguments of Converse. Parameters of no known name go to the model as
    they are. Raises FmloadError for what cannot be said in this form."""
    system, messages = chat(prompt)
    config, further = inference_config(prompt, parameters)
    own = {key: further.pop(key) for key in list(further) if key in _ARGUMENTS}
    tools = _tool_config(further.pop("tools", None), further.pop("tool_choice", None))
    if tools:
        own.setdefault("toolConfig", tools)
    if "toolConfig" not in own and any(block.keys() & {"toolUse", "toolResult"} for message in messages
                                       for block in message["content"]):
        raise _refused(prompt, "its tool calls need `tools` (or `toolConfig`) among the parameters")
    fields = {**own.pop("additionalModelRequestFields", {}), **further}
    made = {"system": system, "messages": messages, "inferenceConfig": config, "additionalModelRequestFields": fields}
    return {**{key: value for key, value in made.items() if value}, **own}


def inference_config(prompt: Prompt, parameters: Json) -> tuple[dict[str, Any], dict[str, Any]]:
    """(inferenceConfig, the parameters that it does not know)."""
    chosen = {**parameters, **prompt.parameters}
    config = {**chosen.pop("inferenceConfig", {}),
              **{_INFERENCE[key]: chosen.pop(key) for key in list(chosen) if key in _INFERENCE}}
    if prompt.output_tokens is not None:
        config["maxTokens"] = prompt.output_tokens
    if isinstance(config.get("stopSequences"), str):
        config["stopSequences"] = [config["stopSequences"]]
    return config, chosen


def chat(prompt: Prompt) -> tuple[Blocks, Blocks]:
    """(system blocks, messages) in Converse's form: no blank text, tool turns as blocks, each role's turn in one
    message. Raises FmloadError."""
    system: Blocks = []
    messages: Blocks = []
    for message in prompt.as_messages():
        role, content = str(message.get("role") or "user"), _content(prompt, message)
        if role in ("system", "developer"):
            system += content
        elif messages and messages[-1]["role"] == _ROLES.get(role, role):
            messages[-1]["content"] += content
        elif content:
            messages.append({"role": _ROLES.get(role, role), "content": content})
    if not messages:
        raise _refused(prompt, "it holds no text, and Converse takes no blank one")
    return system, messages


_ROLES = {"tool": "user", "function": "user"}


def _content(prompt: Prompt, message: Json) -> Blocks:
    blocks = blocks_of(prompt, message.get("content"))
    if message.get("role") in ("tool", "function"):
        result = [block for block in blocks if block.keys() & {"text", "image", "document", "json", "video"}]
        return [{"toolResult": {"toolUseId": str(message.get("tool_call_id") or message.get("name") or "call"),
                                "content": result or [{"text": "(nothing)"}]}}]
    return blocks + [_tool_use(prompt, call) for call in message.get("tool_calls") or ()]


def _tool_use(prompt: Prompt, call: Json) -> dict[str, Any]:
    function = call.get("function") or {}
    given = function.get("arguments") or "{}"
    try:
        given = orjson.loads(given) if isinstance(given, str) else given
    except orjson.JSONDecodeError as error:
        raise _refused(prompt, f"the arguments of its call of '{function.get('name')}' are no JSON") from error
    return {"toolUse": {"toolUseId": str(call.get("id") or "call"), "name": function.get("name"), "input": given}}


def blocks_of(prompt: Prompt, content: Any) -> Blocks:
    """The content blocks of one message; none for a blank text. Raises FmloadError for a part of no known kind."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    blocks: Blocks = []
    for part in parts:
        block = _block(prompt, {"type": "text", "text": part} if isinstance(part, str) else part)
        if "text" not in block or str(block["text"]).strip():
            blocks.append(block)
            if part != block and isinstance(part, Mapping) and part.get("cache_control"):
                blocks.append(cache_point(part["cache_control"]))
    return blocks


def cache_point(mark: Any) -> dict[str, Any]:
    """Anthropic's `cache_control` as Converse has it: five minutes unless it says how long."""
    ttl = mark.get("ttl") if isinstance(mark, Mapping) else None
    return {"cachePoint": {"type": "default", **({} if ttl in (None, "5m") else {"ttl": ttl})}}


def marked(made: dict[str, Any], ttl: str) -> dict[str, Any]:
    """The arguments with cache points behind what is worth keeping: tools, system, and the last turn."""
    point = cache_point({"ttl": ttl})
    config = made.get("toolConfig")
    if config and config.get("tools"):
        made = {**made, "toolConfig": {**config, "tools": _with_point(config["tools"], point)}}
    if made.get("system"):
        made = {**made, "system": _with_point(made["system"], point)}
    *before, last = made["messages"]
    return {**made, "messages": [*before, {**last, "content": _with_point(last["content"], point)}]}


def _with_point(blocks: Blocks, point: dict[str, Any]) -> Blocks:
    return blocks if "cachePoint" in blocks[-1] else [*blocks, point]


def _block(prompt: Prompt, part: Json) -> dict[str, Any]:
    kind = part.get("type")
    if kind is None and len(part) == 1 and part.keys() <= _OWN:
        return _decoded(prompt, dict(part))
    match kind:
        case "text":
            return {"text": part.get("text") or ""}
        case "image_url":
            address = part.get("image_url")
            return _image(prompt, *_data(prompt, address["url"] if isinstance(address, Mapping) else str(address)))
        case "image":
            return _image(prompt, *_source(prompt, part))
        case "video_url":
            address = part.get("video_url")
            kind, data = _data(prompt, address["url"] if isinstance(address, Mapping) else str(address))
            return {"video": {"format": _VIDEO.get(kind, kind), "source": {"bytes": data}}}
        case "input_audio":
            sound = part.get("input_audio") or {}
            return {"audio": {"format": str(sound.get("format")),
                              "source": {"bytes": _bytes(prompt, str(sound.get("data") or ""))}}}
        case "document":
            return _document(prompt, str(part.get("title") or "document"), *_source(prompt, part))
        case "file":
            file = part.get("file") or {}
            return _document(prompt, str(file.get("filename") or "document"),
                             *_data(prompt, str(file.get("file_data") or "")))
        case "tool_use":
            return {"toolUse": {"toolUseId": part.get("id"), "name": part.get("name"), "input": part.get("input")}}
        case "tool_result":
            return {"toolResult": {"toolUseId": part.get("tool_use_id"),
                                   "content": blocks_of(prompt, part.get("content")) or [{"text": "(nothing)"}]}}
    raise _refused(prompt, f"Converse has no place for a part of its content ({kind or ', '.join(map(str, part))})")


def _decoded(prompt: Prompt, block: dict[str, Any]) -> dict[str, Any]:
    """A block of Converse's own form, with bytes that a JSON file holds as base64 decoded, and `jpg` spelt out."""
    for kind in ("image", "document", "video", "audio"):
        if isinstance(inside := block.get(kind), Mapping):
            source = dict(inside.get("source") or {})
            if isinstance(source.get("bytes"), str):
                source["bytes"] = _bytes(prompt, source["bytes"])
            form = str(inside.get("format") or "")
            block[kind] = {**inside, "source": source, **({"format": _IMAGE.get(form, form)} if form else {})}
    return block


def _image(prompt: Prompt, kind: str, data: bytes) -> dict[str, Any]:
    return {"image": {"format": _IMAGE.get(kind, kind), "source": {"bytes": data}}}


def _document(prompt: Prompt, name: str, kind: str, data: bytes) -> dict[str, Any]:
    stem, _, ending = name.rpartition(".")
    form = _DOCUMENT.get(kind) or (ending if ending in _DOCUMENT.values() else "txt")
    return {"document": {"format": form, "name": _not_in_a_name.sub(" ", stem or name).strip() or "document",
                         "source": {"bytes": data}}}


def _source(prompt: Prompt, part: Json) -> tuple[str, bytes]:
    """(kind, bytes) of Anthropic's `source`."""
    source = part.get("source") or {}
    if source.get("type") == "text":
        return "plain", str(source.get("data") or "").encode()
    if source.get("type") != "base64":
        raise _refused(prompt, f"Converse takes no {part.get('type')} by {source.get('type') or 'such a source'}")
    return str(source.get("media_type") or "").rpartition("/")[2], _bytes(prompt, str(source.get("data") or ""))


def _data(prompt: Prompt, url: str) -> tuple[str, bytes]:
    """(kind, bytes) of a `data:image/png;base64,…` URL, the only kind that Converse can take."""
    match = _data_url(url)
    if match is None:
        raise _refused(prompt, "Converse takes pictures and files by value alone: write data:…;base64,… URLs")
    return match[1], _bytes(prompt, match[2])


def _bytes(prompt: Prompt, text: str) -> bytes:
    try:
        return decoded(text)
    except ValueError as error:
        raise _refused(prompt, "a part of its content is no base64") from error


def _tool_config(tools: Any, choice: Any) -> dict[str, Any]:
    """OpenAI's or Anthropic's `tools` and `tool_choice` as toolConfig; empty where there are none to be used."""
    if not tools or choice == "none" or (isinstance(choice, Mapping) and choice.get("type") == "none"):
        return {}
    config: dict[str, Any] = {"tools": [_tool(tool) for tool in tools]}
    if choice in ("required", "any") or (isinstance(choice, Mapping) and choice.get("type") == "any"):
        config["toolChoice"] = {"any": {}}
    elif isinstance(choice, Mapping) and (name := (choice.get("function") or choice).get("name")):
        config["toolChoice"] = {"tool": {"name": name}}
    elif choice is not None:
        config["toolChoice"] = {"auto": {}}
    return config


def _tool(tool: Json) -> dict[str, Any]:
    if tool.keys() & {"toolSpec", "cachePoint", "systemTool"}:
        return dict(tool)
    function = tool.get("function") or tool
    schema = function.get("parameters") or function.get("input_schema") or {"type": "object", "properties": {}}
    spec = {"name": function.get("name"), "inputSchema": {"json": schema}}
    return {"toolSpec": {**spec, **({"description": function["description"]} if function.get("description") else {})}}


def _refused(prompt: Prompt, why: str) -> FmloadError:
    return FmloadError(f"prompt '{prompt.id}' of set '{prompt.prompt_set}': {why}",
                       hint="change the prompt, or take an endpoint that knows this form")
