"""Google's Gemini: `streamGenerateContent` and `generateContent`, of AI Studio and of Vertex AI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.endpoints import json_answers, usage
from fmload.endpoints.answer import Answer
from fmload.endpoints.base import ALL_MEDIA
from fmload.endpoints.http import HttpOptions, HttpProtocol, bearer
from fmload.endpoints.json_answers import Json
from fmload.endpoints.usage import whole
from fmload.model.prompt import Prompt
from fmload.model.reading import Channel, Reading
from fmload.wire.exchange import Address, Exchange

_END = "a finishReason"


class Gemini:
    """The codec of one endpoint."""

    def __init__(self, spec: EndpointSpec) -> None:
        if spec.model is None:
            raise FmloadError(f"endpoint '{spec.name}': no model", hint="write `model:`; it is part of the path")
        self._parameters = spec.parameters
        self._streamed = spec.stream

    def body(self, prompt: Prompt) -> dict[str, Any]:
        made = _sorted({**self._parameters, **prompt.parameters})
        if prompt.output_tokens is not None:
            made.setdefault("generationConfig", {})["maxOutputTokens"] = prompt.output_tokens
        return {**_contents(prompt.as_messages()), **made}

    def read(self, exchange: Exchange) -> Reading:
        return json_answers.read(exchange, read, _END, self._streamed)

    def carries_token(self, body: bytes) -> bool:
        return json_answers.has_token(body, read)


# -- what is asked --

# Parameters of a chat, and their names in `generationConfig`, where those that are written there already stay.
_CONFIG = {"max_tokens": "maxOutputTokens", "max_completion_tokens": "maxOutputTokens", "temperature": "temperature",
           "top_p": "topP", "top_k": "topK", "stop": "stopSequences", "seed": "seed", "n": "candidateCount",
           "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty"}
_MODES = {"required": "ANY", "auto": "AUTO", "none": "NONE"}


def _sorted(parameters: Json) -> dict[str, Any]:
    """Each parameter where Gemini has it: the sampling in `generationConfig`, tools as declarations."""
    made = {name: value for name, value in parameters.items() if name not in (*_CONFIG, "tool_choice")}
    config = {_CONFIG[name]: [value] if name == "stop" and isinstance(value, str) else value
              for name, value in parameters.items() if name in _CONFIG}
    if config or made.get("generationConfig"):
        made["generationConfig"] = {**config, **made.get("generationConfig", {})}
    if isinstance(tools := made.get("tools"), list) and any("function" in tool for tool in tools):
        made["tools"] = [{"functionDeclarations": [tool["function"] for tool in tools if "function" in tool]}]
    if choice := parameters.get("tool_choice"):
        function = {"mode": _MODES.get(choice, "AUTO")} if isinstance(choice, str) else {
            "mode": "ANY", "allowedFunctionNames": [choice["function"]["name"]]}
        made.setdefault("toolConfig", {"functionCallingConfig": function})
    return made


def _contents(messages: Sequence[Json]) -> dict[str, Any]:
    system = [part for message in messages if message["role"] in ("system", "developer")
              for part in _parts(message.get("content"))]
    contents: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] not in ("system", "developer"):
            _add_turn(contents, "model" if message["role"] == "assistant" else "user", _turn(message))
    return {"contents": contents, **({"systemInstruction": {"parts": system}} if system else {})}


def _add_turn(contents: list[dict[str, Any]], role: str, parts: list[Any]) -> None:
    """Turns of one role in a row are one."""
    if contents and contents[-1]["role"] == role:
        contents[-1]["parts"] += parts
    else:
        contents.append({"role": role, "parts": parts})


def _turn(message: Json) -> list[Any]:
    if message["role"] == "tool":
        return [{"functionResponse": {"name": message.get("name") or message.get("tool_call_id") or "",
                                      "response": {"result": message.get("content")}}}]
    calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    return [*_parts(message.get("content")),
            *({"functionCall": {"name": call.get("name"), "args": _arguments(call.get("arguments"))}}
              for call in calls)]


def _arguments(given: Any) -> Any:
    return orjson.loads(given or "{}") if isinstance(given, str | None) else given


def _parts(content: Any) -> list[Any]:
    if isinstance(content, list):
        return [_part(part) for part in content]
    return [{"text": content}] if content else []


def _part(part: Any) -> Any:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text":
        return {"text": part["text"]}
    if kind == "input_audio":
        sound = part["input_audio"]
        return {"inlineData": {"mimeType": f"audio/{sound['format']}", "data": sound["data"]}}
    if kind not in ("image_url", "video_url"):
        return part
    url = part[kind]["url"] if isinstance(part[kind], Mapping) else part[kind]
    mime, separator, data = url.removeprefix("data:").partition(";base64,")
    if separator:
        return {"inlineData": {"mimeType": mime, "data": data}}
    return {"fileData": {"fileUri": url}}


# -- what is answered --


def read(answer: Answer, message: Json, end: int) -> None:
    """Add one response of a stream, or a whole one. Raises one of MALFORMED for what is neither."""
    candidates, told = message.get("candidates"), message.get("usageMetadata")
    feedback = message.get("promptFeedback")
    if candidates is None and told is None and feedback is None:
        raise KeyError("candidates")
    if isinstance(feedback, Mapping) and feedback.get("blockReason"):
        answer.fail("blocked", f"the prompt was blocked by a filter: {feedback['blockReason']}")
    answer.named(message.get("responseId"))
    total = _tokens(told) if isinstance(told, Mapping) else None
    for candidate in candidates or ():
        parts = (candidate.get("content") or {}).get("parts") or ()
        for place, part in enumerate(parts):
            _add_part(answer, part, end, total if place == len(parts) - 1 else None)
        answer.finish(candidate.get("finishReason"))
    if isinstance(told, Mapping):
        answer.usage((whole(told.get("promptTokenCount")) or 0) + (whole(told.get("toolUsePromptTokenCount")) or 0),
                     total, told.get("cachedContentTokenCount"), told.get("thoughtsTokenCount"), usage.kinds_of(told))


def _tokens(told: Json) -> int | None:
    """Tokens so far, with the thoughts, which count apart here."""
    counts = [whole(told.get(name)) for name in ("candidatesTokenCount", "thoughtsTokenCount")]
    return None if counts == [None, None] else sum(count or 0 for count in counts)


def _add_part(answer: Answer, part: Json, end: int, total: int | None) -> None:
    call = part.get("functionCall")
    if isinstance(call, Mapping):
        place = len(answer.calls.all())
        answer.calls.begin(place, call.get("id"), call.get("name"))
        answer.calls.add(place, call.get("args") or "{}")
        answer.add(end, f"{call.get('name')}{call.get('args')}", "tool")
        return
    text = part.get("text")
    channel: Channel = "reasoning" if part.get("thought") else "answer"
    if text and (total is None or not answer.add_running(end, total, text, channel)):
        answer.add(end, text, channel)


def _path(base: str, spec: EndpointSpec) -> str:
    """AI Studio's `/v1beta`, or the project and location of Vertex AI as they stand in the URL."""
    base = base or "/v1beta"
    if "/locations/" in base and "/publishers/" not in base and "/endpoints/" not in base:
        base += "/publishers/google"
    model = f"/models/{str(spec.model).removeprefix('models/')}"
    where = base if "/endpoints/" in base or "/models/" in base else base + model
    return where + (":streamGenerateContent?alt=sse" if spec.stream else ":generateContent")


def _key(key: str, address: Address) -> tuple[str, str]:
    """AI Studio takes an API key; Vertex AI the access token of an account."""
    return bearer(key, address) if address.host.endswith("aiplatform.googleapis.com") else ("x-goog-api-key", key)


GEMINI = HttpProtocol(HttpOptions, Gemini, _path, _key, BASE_PATH="/v1beta", carries=lambda given: ALL_MEDIA)
