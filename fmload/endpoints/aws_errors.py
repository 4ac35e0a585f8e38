"""Errors of AWS's runtimes, before the stream and inside it, as outcomes and messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from fmload.endpoints.failures import error_message
from fmload.model.outcome import Failure, Outcome
from fmload.wire.eventstream import Frame
from fmload.wire.exchange import Exchange

# Codes that mean "too much at once", whatever the status beside them; in lower case.
_THROTTLED = frozenset({
    "throttling", "throttlingexception", "throttledexception", "toomanyrequestsexception", "modelnotreadyexception",
    "servicequotaexceededexception", "requestlimitexceeded",
})
# Original statuses of a model that did not answer within the service's limit (60 s at SageMaker), and Bedrock's code.
_TIMED_OUT = (0, 408)
_TIME_LIMITS = frozenset({"modeltimeoutexception"})
_MESSAGE_LIMIT = 500


def http_failure(exchange: Exchange) -> Failure | None:
    """The failure that an HTTP status of 300 or more stands for; None when there is none.

    A ModelError is the container's own error in AWS's envelope: its original status decides, when it is told.
    """
    if exchange.status is None or exchange.status < 300:
        return None
    fields = _fields(exchange.body)
    code = _code(exchange.headers.get("x-amzn-errortype") or fields.get("__type") or fields.get("code"))
    message = _message(fields) or _plain(exchange.body) or exchange.reason
    words = _describe(code or f"HTTP {exchange.status}", message, fields)
    original = _original_status(fields)
    if original in _TIMED_OUT:
        return Failure("timeout_total", f"{words} (the service's own time limit)"[:_MESSAGE_LIMIT])
    if exchange.status == 408 or code.lower() in _TIME_LIMITS:
        return Failure("timeout_total", words)
    return Failure(outcome_of(code, original or exchange.status), words)


def failure_of_model(body: bytes) -> Failure:
    """The failure of which an asynchronous endpoint wrote this; by the model's own status, where it is told."""
    words = error_message(body) or "it says nothing"
    return Failure(outcome_of("", _original_status(_fields(body)) or 500), f"the endpoint failed the request: {words}")


def frame_failure(frame: Frame) -> Failure:
    """The failure of an exception frame, or of an `error` frame, which is none that the service documents."""
    headers, fields = frame.headers, _fields(frame.payload)
    code = str(headers.get(":exception-type") or headers.get(":error-code") or "unknown error")
    message = _message(fields) or str(headers.get(":error-message") or "")
    throttled = code.lower() in _THROTTLED
    return Failure("throttled" if throttled else "stream_error", _describe(code, message, fields))


def outcome_of(code: str, status: int) -> Outcome:
    """What an error of this code and status is."""
    if status == 429 or code.lower() in _THROTTLED:
        return "throttled"
    return "http_5xx" if status >= 500 else "http_4xx"


def _describe(code: str, message: str, fields: Mapping[str, Any]) -> str:
    original = ": ".join(str(part) for part in (_original_status(fields), _field(fields, "originalMessage"),
                                                _field(fields, "errorCode")) if part)
    text = f"{code}: {message}" if message else code
    return (f"{text} (originally {original})" if original else text)[:_MESSAGE_LIMIT]


def _fields(body: bytes) -> Mapping[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _field(fields: Mapping[str, Any], name: str) -> Any:
    """SageMaker writes `OriginalMessage`, Bedrock `originalMessage`."""
    return fields.get(name) or fields.get(name[0].upper() + name[1:])


def _message(fields: Mapping[str, Any]) -> str:
    return str(_field(fields, "message") or "")


def _original_status(fields: Mapping[str, Any]) -> int | None:
    status = _field(fields, "originalStatusCode")
    return status if isinstance(status, int) and not isinstance(status, bool) else None


def _code(name: Any) -> str:
    """`ThrottlingException` from `com.amazonaws.bedrock#ThrottlingException:http://internal.amazon.com/…`."""
    return str(name or "").split(":")[0].split("#")[-1]


def _plain(body: bytes) -> str:
    """The words of a body that is no JSON, such as a load balancer's HTML page."""
    text = re.sub(r"(?s)<(style|script).*?</\1>|<[^>]*>", " ", body[:4096].decode(errors="replace"))
    return " ".join(text.split())
