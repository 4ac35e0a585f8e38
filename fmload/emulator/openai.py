"""OpenAI's chat and text completions: requests read, events written as vLLM and its kin write them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import orjson

from fmload.emulator.aws import refusal as aws_refusal
from fmload.emulator.aws import require_signature
from fmload.emulator.dialect import Ask, Usage, Whole
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Refusal, Request, Unfit, json_refusal
from fmload.emulator.media import Seen, seen_in
from fmload.emulator.plane import Opened, Plane, key_in
from fmload.emulator.settings import Settings
from fmload.emulator.shape import Shape

_PATHS = re.compile(r"(?:/endpoints/[^/]+/openai|/openai)?/v1/(chat/)?completions$|/openai/deployments/[^/]+/"
                    r"(chat/)?completions$|/invocations$")
_KINDS = {400: "BadRequestError", 401: "authentication_error", 403: "permission_error", 404: "NotFoundError",
          429: "rate_limit_exceeded", 503: "Service Unavailable"}


def refusal(status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None,
            outcome: str = "rejected") -> Refusal:
    """An error in OpenAI's shape."""
    kind = _KINDS.get(status, "server_error")
    body = {"error": {"message": message, "type": kind, "param": None, "code": status}}
    return json_refusal(status, body, headers, outcome)


def parse_json(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises Unfit."""
    try:
        value = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise Unfit(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unfit("the body is not a JSON object")
    return value


def require_model(model: str, settings: Settings) -> None:
    """Raises Refusal for a model that is not served."""
    if settings.models and model not in settings.models:
        raise refusal(404, f"The model `{model}` does not exist.")


def _open(request: Request, number: int, settings: Settings) -> Opened:
    if request.path.startswith(("/endpoints/", "/openai/")):  # AWS's own paths, and Azure's
        require_credentials(request)
    body = parse_json(request.body)
    chat = "messages" in body or request.path.endswith("/chat/completions")
    ask = parse(body, chat)
    if (deployment := re.match(r"/openai/deployments/([^/]+)/", request.path)) is not None:
        ask.model = deployment[1]
    require_model(ask.model, settings)
    return Opened(ask, odd_of(request, settings, OpenAIDialect(ask, body, number, chat, settings.shape)))


def require_credentials(request: Request) -> None:
    """Of AWS's own paths, and of Azure's. Raises Refusal."""
    if "api-key" not in request.headers:
        require_signature(request, _AWS_REFUSAL)
    if request.path.startswith("/openai/deployments/") and "api-version=" not in request.query:
        raise refusal(404, "Resource not found")  # what Azure says without one


_AWS_REFUSAL = aws_refusal("message", {})


def parse(body: dict[str, Any], chat: bool) -> Ask:
    """What a chat (or text) completion asks for. Raises Unfit."""
    texts = messages_texts(body.get("messages")) if chat else [_prompt_text(body.get("prompt"))]
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    return Ask(texts=texts, chat=chat, model=str(body.get("model") or ""), stream=bool(body.get("stream")),
               max_tokens=positive(limit, "max_tokens"), min_tokens=int(body.get("min_tokens") or 0),
               ignore_eos=bool(body.get("ignore_eos")), roles=_roles(body) if chat else [],
               priority=_whole(body.get("priority"), "priority"),
               media=seen_in(body["messages"]) if chat else Seen())


def positive(value: object, name: str) -> int | None:
    """A positive whole number or None. Raises Unfit."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Unfit(f"{name} must be a whole number of at least 1, got {value!r}")
    return value


def _whole(value: object, name: str) -> int:
    """A whole number; 0 where there is none. Raises Unfit."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unfit(f"{name} must be a whole number, got {value!r}")
    return value


def messages_texts(messages: object) -> list[str]:
    """The text of every message of a chat. Raises Unfit."""
    if not isinstance(messages, list) or not messages:
        raise Unfit("messages must be a list of at least one message")
    return [content_text(message.get("content")) for message in messages if isinstance(message, dict)]


def _roles(body: dict[str, Any]) -> list[str]:
    return [str(message.get("role") or "user") for message in body["messages"] if isinstance(message, dict)]


def content_text(content: object) -> str:
    """The text of a message's content: a string, or a list of parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or "")


def _prompt_text(prompt: object) -> str:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise Unfit("prompt must be one string")
    return prompt


def usage_json(usage: Usage) -> dict[str, Any]:
    """OpenAI's `usage` object."""
    result: dict[str, Any] = {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens,
                              "total_tokens": usage.input_tokens + usage.output_tokens,
                              "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, **usage.kinds}}
    if usage.reasoning_tokens:
        result["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return result


class OpenAIDialect:
    """Server-sent events of one completion. `shape` says where role, finish reason and usage stand."""

    content_type = "text/event-stream; charset=utf-8"
    headers: Mapping[str, str] = {"Cache-Control": "no-cache"}

    def __init__(self, ask: Ask, body: Mapping[str, Any], number: int, chat: bool, shape: Shape) -> None:
        options = body.get("stream_options") or {}
        self._chat, self._shape = chat, shape
        self._calls = forced_call(body, number) if chat else None
        self.finish_with_last = shape.finish == "with_last_token" or self._calls is not None
        self._usage_wanted = bool(options.get("include_usage"))
        self.usage_each = self._usage_wanted and bool(options.get("continuous_usage_stats"))
        kind = "chat.completion" if chat else "text_completion"
        self._envelope = {"id": f"{'chatcmpl' if chat else 'cmpl'}-emulated-{number:08x}",
                          "object": kind + (".chunk" if chat and ask.stream else ""),
                          "created": int(time.time()), "model": ask.model}
        common = orjson.dumps(self._envelope)[:-1]
        answer = b'"delta":{"content":"' if chat else b'"text":"'
        thought = b'"delta":{"' + shape.reasoning_field.encode() + b'":"'
        self._before = b"data: " + common + b',"choices":[{"index":0,' + answer
        self._before_thought = b"data: " + common + b',"choices":[{"index":0,' + (thought if chat else answer)
        self._after = (b'"}' if chat else b'"') + b',"logprobs":null,"finish_reason":null}]}\n\n'

    def opening(self, usage: Usage) -> bytes:
        if not self._chat or self._shape.role == "none":
            return b""
        return self._event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
                           usage if self.usage_each else None)  # of zero tokens, as vLLM has it

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        if self._calls is not None and not reasoning:
            return self._event([self._calls.piece(text, finish is not None)], usage if self.usage_each else None)
        if finish is None and not self.usage_each:
            before = self._before_thought if reasoning else self._before
            return before + orjson.dumps(text)[1:-1] + self._after
        return self._event([self._choice(text, reasoning, finish)], usage if self.usage_each else None)

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        events, own = b"", self._usage_wanted and self._shape.usage == "own"
        if finish is not None:
            choice = self._choice(None if self._chat else "", False, finish)
            events = self._event([choice], usage if self.usage_each or (self._usage_wanted and not own) else None)
        return events + self._event([], usage) if own else events

    def trailer(self) -> bytes:
        return b"data: [DONE]\n\n" if self._shape.done else b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        kind = aws or "internal_error"
        return b"data: " + orjson.dumps({"error": {"message": message, "type": kind, "code": 500}}) + b"\n\n"

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if reasoning:
            message[self._shape.reasoning_field] = reasoning
        if self._calls is not None:
            message, finish = {**message, "content": None, "tool_calls": [self._calls.whole(text)]}, "tool_calls"
        choice = {"index": 0, "finish_reason": finish, **({"message": message} if self._chat else {"text": text})}
        return Whole(orjson.dumps({**self._envelope, "choices": [choice], "usage": usage_json(usage)}))

    def _choice(self, text: str | None, reasoning: bool, finish: str | None) -> dict[str, Any]:
        if not self._chat:
            return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
        field = self._shape.reasoning_field if reasoning else "content"
        return {"index": 0, "delta": {} if text is None else {field: text}, "finish_reason": finish}

    def _event(self, choices: list[dict[str, Any]], usage: Usage | None = None) -> bytes:
        event: dict[str, Any] = {**self._envelope, "choices": choices}
        if usage is not None:
            event["usage"] = usage_json(usage)
        return b"data: " + orjson.dumps(event) + b"\n\n"


class ForcedCall:
    """An answer that has to be a call of one tool (`tool_choice`): its tokens are the call's one argument."""

    def __init__(self, name: str, argument: str, number: int) -> None:
        self._head = {"id": f"call_{number:08x}", "type": "function"}
        self.name, self._argument = name, argument
        self._begun = False

    def piece(self, text: str, last: bool) -> dict[str, Any]:
        """The choice of one event: more of the argument, in JSON that is whole with the last token."""
        first = not self._begun
        arguments = self.argument(text) + ('"}' if last else "")
        call: dict[str, Any] = {"index": 0, "function": {"arguments": arguments}}
        if first:
            call = {"index": 0, **self._head, "function": {"name": self.name, "arguments": arguments}}
        return {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls" if last else None}

    def argument(self, text: str) -> str:
        """More of the arguments' JSON, which lacks `"}` at its end."""
        said = orjson.dumps(text)[1:-1].decode()
        if self._begun:
            return said
        self._begun = True
        return f'{{{orjson.dumps(self._argument).decode()}:"{said}'

    def whole(self, text: str) -> dict[str, Any]:
        """The call in one piece."""
        arguments = orjson.dumps({self._argument: text}).decode()
        return {**self._head, "function": {"name": self.name, "arguments": arguments}}


def forced_call(body: Mapping[str, Any], number: int) -> ForcedCall | None:
    """The tool that the request forces: by name, or (`required`) the first there is. None where it forces none."""
    choice = body.get("tool_choice")
    tools = [tool["function"] for tool in body.get("tools") or () if isinstance(tool, dict) and "function" in tool]
    wanted = choice["function"]["name"] if isinstance(choice, dict) else None
    if not tools or (wanted is None and choice != "required"):
        return None
    tool = next((one for one in tools if one["name"] == wanted), tools[0])
    properties = (tool.get("parameters") or {}).get("properties") or {}
    return ForcedCall(str(tool["name"]), next(iter(properties), "input"), number)


PLANE = Plane("openai", lambda path: _PATHS.match(path) is not None, _open, refusal, key_in("api-key"),
              ping=b": keep-alive\n\n")
