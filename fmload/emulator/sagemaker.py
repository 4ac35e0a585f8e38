"""SageMaker's runtime: InvokeEndpoint and InvokeEndpointWithResponseStream, around what the containers speak."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from fmload.emulator import aws, eventstream, inputs, openai, speech, transcription
from fmload.emulator.dialect import Ask, Dialect, Usage, Whole
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Request, Unfit
from fmload.emulator.openai import OpenAIDialect
from fmload.emulator.plane import Opened, Plane
from fmload.emulator.settings import Settings
from fmload.emulator.shape import Shape

_PATH = re.compile(r"/endpoints/[^/]+/invocations(-response-stream)?$")
_refuse = aws.refusal("Message", {
    400: "ValidationError", 401: "UnrecognizedClientException", 403: "AccessDeniedException", 404: "ValidationError",
    424: "ModelError", 429: "ThrottlingException", 500: "InternalFailure", 503: "ServiceUnavailable",
    530: "InternalDependencyException"})


def open_invocation(request: Request, number: int, settings: Settings) -> Opened:
    """Reads an invocation of any container. Raises Refusal, or Unfit."""
    aws.require_signature(request, _refuse)
    name = request.path.split("/")[2]
    if settings.models and name not in settings.models:
        raise _refuse(400, f"Endpoint {name} of account 123456789012 not found.", "ValidationError")
    if request.headers.get("content-type", "").startswith("audio/"):
        return transcription.opened(request.body, {}, request, settings)
    body = openai.parse_json(request.body)
    if "voice" in body:
        return speech.opened(body, request, settings, stream=False)
    if (asked := inputs.asked_of(body)) is not None:
        return inputs.opened(asked, body, request, settings)
    ask = parse(body)
    streaming = request.path.endswith("-response-stream")
    ask.stream = ask.stream and streaming  # InvokeEndpoint gathers what a container streams
    accept = request.headers.get("x-amzn-sagemaker-accept", request.headers.get("accept", ""))
    inner = odd_of(request, settings, container(ask, body, number, settings.shape, accept))
    return Opened(ask, PayloadParts(inner, settings.shape.part_bytes) if streaming else inner)


def parse(body: dict[str, Any]) -> Ask:
    """What an invocation asks for: OpenAI's bodies (vLLM, LMI, SGLang) or TGI's `inputs` and `parameters`."""
    if "inputs" not in body:
        return openai.parse(body, chat="messages" in body)
    inputs, parameters = body["inputs"], body.get("parameters") or {}
    if not isinstance(inputs, str):
        raise Unfit("inputs must be a string")
    limit = openai.positive(parameters.get("max_new_tokens"), "max_new_tokens")
    least = parameters.get("min_new_tokens") or parameters.get("min_tokens") or 0
    return Ask([inputs], stream=bool(body.get("stream")), max_tokens=limit, min_tokens=int(least),
               ignore_eos=bool(parameters.get("ignore_eos_token")))


def container(ask: Ask, body: dict[str, Any], number: int, shape: Shape, accept: str) -> Dialect:
    """How the container answers, whichever operation it is asked by."""
    if "inputs" not in body:
        return OpenAIDialect(ask, body, number, "messages" in body, shape)
    return TgiDialect(ask, body.get("parameters") or {}, "jsonlines" in accept or shape.container == "lmi")


class TgiDialect:
    """TGI's events (`data:{…}`) or LMI's lines, one a token; the last carries the whole text and `details`."""

    finish_with_last = True
    usage_each = False

    def __init__(self, ask: Ask, parameters: Mapping[str, Any], lines: bool, listed: bool = True) -> None:
        self._listed = listed and not lines  # a whole answer, as SageMaker's containers give it
        self._lines, self._details = lines, bool(parameters.get("details"))
        self._texts: list[str] = [ask.prompt] if parameters.get("return_full_text") else []
        self._index = 0
        self.content_type = "application/jsonlines" if lines else "text/event-stream"
        self.headers: Mapping[str, str] = {}

    def opening(self, usage: Usage) -> bytes:
        return b""

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        self._index += 1
        self._texts.append(text)
        token = {"id": self._index, "text": text, "log_prob" if self._lines else "logprob": -0.5}
        if not self._lines:
            event: dict[str, Any] = {"index": self._index, "token": {**token, "special": False},
                                     "generated_text": None, "details": None}
        else:
            event = {"token": token}
        if finish is not None and usage is not None:
            event["generated_text"] = "".join(self._texts)
            event["details"] = self._account(finish, usage)
        return self._line(event)

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        return b""

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        if self._lines:
            return self._line({"token": {"id": -1, "text": "", "log_prob": -1}, "generated_text": "".join(self._texts),
                               "details": {"finish_reason": "error", "generated_tokens": None, "inputs": None}})
        return self._line({"error": message, "error_type": aws or "generation"})

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        answer: dict[str, Any] = {"generated_text": "".join(self._texts) + text}
        if self._details or self._lines:
            answer["details"] = self._account(finish, usage)
        return Whole(orjson.dumps([answer] if self._listed else answer))

    def _account(self, finish: str, usage: Usage) -> dict[str, Any]:
        reason = {"stop": "eos_token"}.get(finish, finish)
        account = {"finish_reason": reason, "generated_tokens": usage.output_tokens}
        return account | ({"inputs": None} if self._lines else {"input_length": usage.input_tokens, "seed": None})

    def _line(self, value: object) -> bytes:
        return orjson.dumps(value) + b"\n" if self._lines else b"data:" + orjson.dumps(value) + b"\n\n"


class PayloadParts:
    """A container's bytes in PayloadPart frames, cut after `part_bytes` bytes wherever lines end."""

    content_type = eventstream.CONTENT_TYPE

    def __init__(self, inner: Dialect, part_bytes: int | None) -> None:
        self._inner, self._part_bytes = inner, part_bytes
        self.finish_with_last, self.usage_each = inner.finish_with_last, inner.usage_each
        self.headers: Mapping[str, str] = {"X-Amzn-SageMaker-Content-Type": inner.content_type,
                                           "x-Amzn-Invoked-Production-Variant": "AllTraffic"}

    def opening(self, usage: Usage) -> bytes:
        return self._parts(self._inner.opening(usage))

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        return self._parts(self._inner.token(text, reasoning, finish, usage))

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        return self._parts(self._inner.closing(finish, usage))

    def trailer(self) -> bytes:
        return self._parts(self._inner.trailer())

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        if how == "container":
            return self._parts(self._inner.error(aws, message, how))
        if how == "error":
            return eventstream.error(aws or "InternalError", message)
        body = {"Message": message}
        if aws in (None, "ModelStreamError"):
            body["ErrorCode"] = "StreamBroken"
        return eventstream.exception(aws or "ModelStreamError", orjson.dumps(body))

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        inner = self._inner.whole(text, reasoning, finish, usage)
        headers = {**self.headers, "X-Amzn-SageMaker-Content-Type": inner.content_type}
        return Whole(self._parts(inner.body), self.content_type, headers)

    def _parts(self, data: bytes) -> bytes:
        size = self._part_bytes or len(data)
        return b"".join(eventstream.event("PayloadPart", data[start:start + size], "application/octet-stream")
                        for start in range(0, len(data), size)) if data else b""


PLANE = Plane("sagemaker", lambda path: _PATH.match(path) is not None, open_invocation, _refuse,
              request_id_header=aws.REQUEST_ID)
