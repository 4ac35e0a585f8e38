"""OpenAI's Responses: what is sent, and the events of the answer, by OpenAI, Azure, Bedrock, vLLM and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from fmload.config.schema import EndpointSpec
from fmload.endpoints import json_answers
from fmload.endpoints.answer import Answer
from fmload.endpoints.azure import azure_or_bearer, azure_path
from fmload.endpoints.failures import error_text
from fmload.endpoints.http import HttpOptions, HttpProtocol, images_alone
from fmload.endpoints.json_answers import Json
from fmload.endpoints.usage import timings_usage
from fmload.model.prompt import Prompt
from fmload.model.reading import Channel, Reading
from fmload.wire.exchange import Exchange

_END = "response.completed"


class Options(HttpOptions):
    """The further keys of an endpoint with `protocol: responses`."""

    api_version: str | None = Field(None, description="Azure's, sent with every request; docs/protocols.md")
    session_state: Literal["client", "server"] = Field(
        "client", description="server: turns of a conversation go on by previous_response_id, and answers are stored")


class Responses:
    """The codec of one endpoint. Nothing is stored and nothing runs in the background, unless it is asked for."""

    def __init__(self, spec: EndpointSpec) -> None:
        self._streamed = spec.stream
        self._at_server = spec.options.session_state == "server"
        model = {"model": spec.model} if spec.model is not None else {}
        # Said in both cases: `transformers serve` streams unless it is told not to.
        self._fixed = {**model, "stream": spec.stream, "store": self._at_server, **_named(spec.parameters)}

    def body(self, prompt: Prompt) -> dict[str, Any]:
        body = {**self._fixed, **_named(prompt.parameters), "input": _input(prompt)}
        if self._at_server and prompt.goes_on_from is not None:
            response, held = prompt.goes_on_from
            body |= {"previous_response_id": response, "input": _items(prompt.as_messages()[held:])}
        if prompt.output_tokens is not None:
            body["max_output_tokens"] = prompt.output_tokens
        return body

    def read(self, exchange: Exchange) -> Reading:
        return json_answers.read(exchange, _Reader().add, _END, self._streamed)

    def carries_token(self, body: bytes) -> bool:
        return json_answers.has_token(body, _Reader().add)


# -- what is asked --


_NAMES = {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"}


def _named(parameters: Json) -> dict[str, Any]:
    """Parameters of a chat under the names that they have here."""
    named = {_NAMES.get(name, name): value for name, value in parameters.items()}
    if isinstance(tools := named.get("tools"), list):
        named["tools"] = [_flat(tool) for tool in tools]
    if isinstance(choice := named.get("tool_choice"), Mapping):
        named["tool_choice"] = _flat(choice)
    if isinstance(effort := named.pop("reasoning_effort", None), str):
        named.setdefault("reasoning", {"effort": effort})
    if isinstance(form := named.pop("response_format", None), Mapping):
        named.setdefault("text", {"format": {"type": form.get("type"), **(form.get("json_schema") or {})}})
    return named


def _flat(tool: Json) -> Json:
    """A tool, or the choice of one, without the `function` that chats wrap it in."""
    inside = tool.get("function")
    return {"type": "function", **inside} if isinstance(inside, Mapping) else tool


def _input(prompt: Prompt) -> Any:
    return prompt.text if prompt.messages is None else _items(prompt.messages)


def _items(messages: Sequence[Json]) -> list[Any]:
    return [item for message in messages for item in _items_of(message)]


def _items_of(message: Json) -> list[Any]:
    """A message of a chat as the items that it is here: what was said, the calls, or what a tool gave."""
    if message.get("role") == "tool":
        return [{"type": "function_call_output", "call_id": message.get("tool_call_id"),
                 "output": message.get("content") or ""}]
    content, items = message.get("content"), []
    if content:
        items.append({"role": message.get("role"), "content": _content(content, message.get("role") == "assistant")})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        items.append({"type": "function_call", "call_id": call.get("id"), "name": function.get("name"),
                      "arguments": function.get("arguments") or "{}"})
    return items


def _content(content: Any, ours: bool) -> Any:
    return [_part(part, ours) for part in content] if isinstance(content, list) else content


def _part(part: Any, ours: bool) -> Any:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text":
        return {"type": "output_text" if ours else "input_text", "text": part["text"]}
    if kind == "image_url":
        image = part["image_url"] if isinstance(part["image_url"], Mapping) else {"url": part["image_url"]}
        return {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail", "auto")}
    if kind == "file":
        return {"type": "input_file", **part["file"]}
    return part


# -- what is answered --

# Pieces that are made of tokens, and their channels; names of both OpenAI and of servers that follow older drafts.
_CHANNELS: Mapping[str, Channel] = {
    "response.output_text": "answer", "response.refusal": "answer", "response.audio.transcript": "answer",
    "response.output_audio_transcript": "answer", "response.text": "answer",
    "response.reasoning_text": "reasoning", "response.reasoning_summary_text": "reasoning",
    "response.reasoning": "reasoning", "response.reasoning_summary": "reasoning",
    "response.function_call_arguments": "tool", "response.custom_tool_call_input": "tool",
    "response.mcp_call_arguments": "tool", "response.mcp_call.arguments": "tool",
    "response.code_interpreter_call_code": "tool", "response.code_interpreter_call.code": "tool",
    "response.shell_call_command": "tool", "response.apply_patch_call_operation_diff": "tool",
}
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_CALLS = ("function_call", "custom_tool_call", "mcp_call")


class _Reader:
    """Events of one answer; whole answers, too. Kinds that no token comes with are passed over."""

    def __init__(self) -> None:
        self._begun: set[Any] = set()  # parts of which a piece has come: their `done` repeats it
        self._heard = False  # an event of this protocol: servers put some of their own between (`codex.rate_limits`)

    def add(self, answer: Answer, event: Json, end: int) -> None:
        kind = event.get("type")
        if (timings := event.get("timings")) is not None:  # llama.cpp's: with any event, the last one, too
            answer.tell(timings_usage(timings))
            answer.note("timings", timings)
        if kind is None and event["object"] == "response":
            self._whole(answer, event, end)
            return
        name, _, step = str(kind).rpartition(".")
        channel = _CHANNELS.get(name)
        if channel is not None:
            self._piece(answer, event, end, channel, step)
        elif kind in _ENDS:
            self._whole(answer, event["response"], end)
        elif kind == "response.output_item.added":
            self._item(answer, event["item"], end, event.get("output_index"))
        elif kind == "response.created":
            answer.named(event["response"].get("id"))
        elif kind == "error":
            _fail(answer, event.get("error") or event)
        elif not str(kind).startswith("response.") and not (self._heard and isinstance(kind, str)):
            raise ValueError("no event of this protocol")
        self._heard = True

    def _piece(self, answer: Answer, event: Json, end: int, channel: Channel, step: str) -> None:
        part = (event.get("output_index"), event.get("content_index", event.get("summary_index")))
        text = event.get("delta")
        if step == "done":
            told = ("text", "arguments", "input", "refusal", "transcript", "code")
            text = "" if part in self._begun else next((event[name] for name in told if event.get(name)), "")
        elif step != "delta":
            return
        if isinstance(text, Mapping):  # of some drafts
            text = text.get("text")
        answer.add(end, text, channel)
        if text:
            self._begun.add(part)
        if channel == "tool":
            answer.calls.add(event.get("output_index"), text)

    def _item(self, answer: Answer, item: Json, end: int, place: Any) -> None:
        if item.get("type") in _CALLS:
            answer.add(end, item.get("name"), "tool")
            answer.calls.begin(place, item.get("call_id") or item.get("id"), item.get("name"))

    def _whole(self, answer: Answer, response: Json, end: int) -> None:
        """The whole response, which ends a stream. Of one that came without pieces, the answer is in it."""
        if not answer.reading.chunks:
            for place, item in enumerate(response.get("output") or ()):
                self._whole_item(answer, item, end, place)
        answer.named(response.get("id"))
        answer.note("service_tier", response.get("service_tier"))
        answer.tell(response.get("usage"))
        status = response.get("status") or "completed"
        if status == "failed" or response.get("error"):
            _fail(answer, response.get("error") or {})
        details = response.get("incomplete_details")
        answer.finish(details.get("reason") if isinstance(details, Mapping) and status == "incomplete" else status)

    def _whole_item(self, answer: Answer, item: Json, end: int, place: int) -> None:
        for part in (item.get("summary") or ()) if item.get("type") == "reasoning" else ():
            answer.add(end, part.get("text"), "reasoning")
        for part in item.get("content") or ():
            channel: Channel = "reasoning" if item.get("type") == "reasoning" else "answer"
            answer.add(end, part.get("text") or part.get("refusal") or part.get("transcript"), channel)
        if item.get("type") in _CALLS:
            self._item(answer, item, end, place)
            given = item.get("arguments") or item.get("input")
            answer.add(end, given, "tool")
            answer.calls.add(place, given)


def _fail(answer: Answer, error: Any) -> None:
    code = str(error.get("code") or error.get("type") or "") if isinstance(error, Mapping) else ""
    words = f"{code}: {error_text(error)}" if code and code != "error" else error_text(error)
    answer.fail("throttled" if "rate_limit" in code else "stream_error", words[:500])


def _path(base: str, spec: EndpointSpec) -> str:
    if base.endswith("/responses"):
        return base
    if spec.options.api_version is not None:
        return azure_path(base, "/responses", spec.options.api_version)
    return (base or "/v1") + "/responses"


RESPONSES = HttpProtocol(Options, Responses, _path, azure_or_bearer, BASE_PATH="/v1", carries=images_alone)
