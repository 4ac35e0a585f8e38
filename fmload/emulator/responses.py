"""OpenAI's Responses: requests read, and the events of an answer written as OpenAI writes them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any

import orjson

from fmload.emulator import openai
from fmload.emulator.dialect import Ask, Usage, Whole
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Refusal, Request, Unfit, json_refusal
from fmload.emulator.media import seen_in
from fmload.emulator.plane import Opened, Plane, key_in
from fmload.emulator.settings import Settings
from fmload.emulator.shape import Shape

_PATH = re.compile(r"(/endpoints/[^/]+/openai|/openai)?(/v1)?/responses$")
_STORED = re.compile(r"(?:/openai)?/v1/responses/([^/]+)")
_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def _open(request: Request, number: int, settings: Settings) -> Opened:
    if request.path.startswith(("/endpoints/", "/openai/")):
        openai.require_credentials(request)
    body = openai.parse_json(request.body)
    ask = parse(body)
    openai.require_model(ask.model, settings)
    if ask.goes_on_from is not None:
        held = _HELD.get(ask.goes_on_from)
        if held is None:
            raise _not_held(400, f"Previous response with id '{ask.goes_on_from}' not found.",
                            "previous_response_not_found", "previous_response_id")
        ask.texts, ask.roles = [*held.texts, *ask.texts], [*held.roles, *ask.roles]
        ask.held_texts = len(held.texts)
    own = _instructed(ask, body.get("instructions"))
    return Opened(own, odd_of(request, settings, ResponsesDialect(ask, body, number, settings.shape)))


def _instructed(ask: Ask, instructions: Any) -> Ask:
    """With the instructions first, which are of this one answer and are not held for later ones."""
    if not instructions:
        return ask
    return replace(ask, texts=[str(instructions), *ask.texts], roles=["system", *ask.roles])


def parse(body: dict[str, Any]) -> Ask:
    """What a request asks for. Raises Unfit."""
    given = body.get("input")
    items: list[Any] = [{"role": "user", "content": given}] if isinstance(given, str) else given or []
    if not items or not isinstance(items, list):
        raise Unfit("Missing required parameter: 'input'.")
    if body.get("background"):
        raise Unfit("background answers are not emulated")
    return Ask([_text(item) for item in items], chat=True, model=str(body.get("model") or ""),
               stream=bool(body.get("stream")), ignore_eos=bool(body.get("ignore_eos")),
               max_tokens=openai.positive(body.get("max_output_tokens"), "max_output_tokens"),
               roles=[str(item.get("role") or "assistant") for item in items],
               goes_on_from=body.get("previous_response_id"), media=seen_in(items))


@dataclass(frozen=True, slots=True)
class Held:
    """What a stored response holds: the messages up to it and its own, and the response itself."""

    texts: list[str]
    roles: list[str]
    response: Mapping[str, Any]


_MOST_HELD = 10_000
_HELD: dict[str, Held] = {}  # by the response's id, the newest last


def _hold(response: str, held: Held) -> None:
    _HELD[response] = held
    while len(_HELD) > _MOST_HELD:
        del _HELD[next(iter(_HELD))]


def _not_held(status: int, message: str, code: str | None, param: str | None) -> Refusal:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return json_refusal(status, {"error": error}, outcome="rejected")


def stored(method: str, path: str) -> Refusal | None:
    """The answer to a request that reads or deletes a stored response; None for any other request."""
    found = _STORED.fullmatch(path)
    if found is None or method not in ("GET", "DELETE"):
        return None
    held = _HELD.get(found[1])
    if held is None:
        return _not_held(404, f"Response with id '{found[1]}' not found.", None, None)
    if method == "DELETE":
        del _HELD[found[1]]
        return json_refusal(200, {"id": found[1], "object": "response", "deleted": True})
    return json_refusal(200, held.response)


def _text(item: dict[str, Any]) -> str:
    return openai.content_text(item.get("content") or item.get("output") or item.get("arguments"))


class ResponsesDialect:
    """Server-sent events of one response: an item of reasoning where there is any, then a message, or a call."""

    content_type = "text/event-stream; charset=utf-8"
    headers: Mapping[str, str] = {"Cache-Control": "no-cache"}
    finish_with_last = usage_each = False

    def __init__(self, ask: Ask, body: Mapping[str, Any], number: int, shape: Shape) -> None:
        self._number, self._sequence, self._ask = number, 0, ask
        self._summary = shape.reasoning_field == "reasoning"
        self._call = openai.forced_call({**body, "tools": [_wrapped(tool) for tool in body.get("tools") or ()],
                                         "tool_choice": _wrapped(body.get("tool_choice"))}, number)
        self._output: list[dict[str, Any]] = []  # items that are done
        self._kind: str | None = None  # of the item under way
        self._texts: list[str] = []
        self._response = {
            "id": f"resp_{token_hex(16)}", "object": "response", "created_at": int(time.time()), "model": ask.model,
            "parallel_tool_calls": True, "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [], "temperature": 1.0, "top_p": 1.0, "instructions": None, "metadata": {},
            "store": bool(body.get("store", True)), "previous_response_id": ask.goes_on_from,
            "max_output_tokens": ask.max_tokens, "text": {"format": {"type": "text"}}, "truncation": "disabled"}

    def opening(self, usage: Usage) -> bytes:
        begun = self._told("in_progress", [], None)
        return self._event("response.created", response=begun) + self._event("response.in_progress", response=begun)

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        kind = "reasoning" if reasoning else "call" if self._call is not None else "message"
        before = b""
        if kind != self._kind:
            before = self._end_item() + self._begin_item(kind)
        self._texts.append(text)
        return before + self._delta(text if self._call is None or reasoning else self._call.argument(text))

    def _delta(self, text: str) -> bytes:
        self._sequence += 1
        return self._before + orjson.dumps(text)[1:-1] + self._after % self._sequence

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        done = self._end_item()
        reason = _REASONS.get(finish or "stop")
        status = "incomplete" if reason else "completed"
        response = self._told(status, self._output, usage, reason)
        self._store("".join(self._texts), response)
        return done + self._event(f"response.{status}", response=response)

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        return self._event("error", code=aws or "server_error", message=message, param=None)

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        output = [self._reasoning(reasoning)] if reasoning else []
        output.append(self._message(text) if self._call is None else self._called(text))
        reason = _REASONS.get(finish)
        response = self._told("incomplete" if reason else "completed", output, usage, reason)
        self._store(text, response)
        return Whole(orjson.dumps(response))

    def _store(self, text: str, response: Mapping[str, Any]) -> None:
        if self._response["store"]:
            ask = self._ask
            _hold(str(self._response["id"]), Held([*ask.texts, text], [*ask.roles, "assistant"], response))

    # --- items ---

    def _begin_item(self, kind: str) -> bytes:
        self._kind, self._texts, place = kind, [], len(self._output)
        item, where = self._item(kind, None), {"item_id": f"{kind}_{self._number:08x}", "output_index": place}
        added = self._event("response.output_item.added", item=item, output_index=place)
        name = {"reasoning": "response.reasoning_summary_text" if self._summary else "response.reasoning_text",
                "message": "response.output_text", "call": "response.function_call_arguments"}[kind]
        part = self._part(kind, "")
        if part is not None:
            index = "summary_index" if part["type"] == "summary_text" else "content_index"
            where[index] = 0
            added += self._event(self._part_event("added"), part=part, **where)
        extra: dict[str, Any] = {"logprobs": []} if kind == "message" else {}
        event = orjson.dumps({"type": f"{name}.delta", **where, **extra})[:-1]
        self._before = f"event: {name}.delta\ndata: ".encode() + event + b',"delta":"'
        self._after = b'","sequence_number":%d}\n\n'
        self._done = (f"{name}.done", where, extra)
        return added

    def _end_item(self) -> bytes:
        if self._kind is None:
            return b""
        kind, text = self._kind, "".join(self._texts)
        name, where, extra = self._done
        item = self._item(kind, text)
        if kind == "call":
            done = self._delta('"}') + self._event(name, arguments=item["arguments"], name=item["name"], **where)
        else:
            done = self._event(name, text=text, **where, **extra)
            done += self._event(self._part_event("done"), part=self._part(kind, text), **where)
        self._output.append(item)
        self._kind = None
        return done + self._event("response.output_item.done", item=item, output_index=where["output_index"])

    def _part_event(self, step: str) -> str:
        summary = self._kind == "reasoning" and self._summary
        return f"response.{'reasoning_summary' if summary else 'content'}_part.{step}"

    def _part(self, kind: str, text: str) -> dict[str, Any] | None:
        if kind == "call":
            return None
        if kind == "reasoning":
            return {"type": "summary_text" if self._summary else "reasoning_text", "text": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _item(self, kind: str, text: str | None) -> dict[str, Any]:
        made = {"reasoning": self._reasoning, "message": self._message, "call": self._called}[kind](text or "")
        if text is None:
            made |= {"status": "in_progress"} if kind != "reasoning" else {}
            name, empty = {"call": ("arguments", ""), "reasoning": ("summary", []), "message": ("content", [])}[kind]
            made[name] = empty
        return made

    def _reasoning(self, text: str) -> dict[str, Any]:
        part = self._part("reasoning", text)
        parts: dict[str, Any] = {"summary": [part]} if self._summary else {"summary": [], "content": [part]}
        return {"id": f"reasoning_{self._number:08x}", "type": "reasoning", **parts}

    def _message(self, text: str) -> dict[str, Any]:
        return {"id": f"message_{self._number:08x}", "type": "message", "role": "assistant", "status": "completed",
                "content": [self._part("message", text)]}

    def _called(self, text: str) -> dict[str, Any]:
        assert self._call is not None
        function = self._call.whole(text)["function"]
        return {"id": f"call_{self._number:08x}", "type": "function_call", "status": "completed",
                "call_id": f"call_{self._number:08x}", **function}

    # --- events ---

    def _told(self, status: str, output: list[dict[str, Any]], usage: Usage | None,
              reason: str | None = None) -> dict[str, Any]:
        return {**self._response, "status": status, "output": output, "error": None,
                "incomplete_details": {"reason": reason} if reason else None,
                "usage": None if usage is None else usage_json(usage)}

    def _event(self, kind: str, **values: Any) -> bytes:
        self._sequence += 1
        event = {"type": kind, "sequence_number": self._sequence, **values}
        return f"event: {kind}\ndata: ".encode() + orjson.dumps(event) + b"\n\n"


def usage_json(usage: Usage) -> dict[str, Any]:
    """The `usage` of a response."""
    return {"input_tokens": usage.input_tokens, "input_tokens_details": {"cached_tokens": usage.cached_tokens},
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            "total_tokens": usage.input_tokens + usage.output_tokens}


def _wrapped(tool: Any) -> Any:
    """A tool, or the choice of one, as chats have it."""
    if not isinstance(tool, dict) or tool.get("type") != "function" or "function" in tool:
        return tool
    return {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}


PLANE = Plane("responses", lambda path: _PATH.match(path) is not None, _open, openai.refusal, key_in("api-key"),
              ping=b": keep-alive\n\n")
