"""Failures that HTTP statuses stand for, and the messages in error bodies, whatever their shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from fmload.base.redaction import shortened
from fmload.endpoints.filters import is_filters
from fmload.model.outcome import Failure
from fmload.wire.exchange import Exchange

_MESSAGE_LIMIT = 500
_ERRORS = ("error", "errors", "message", "Message", "detail")
_MAX_ERRORS = 8  # of a list of errors


def http_failure(exchange: Exchange) -> Failure | None:
    """The failure that a status of 300 or more stands for, with the server's own words; None for 2xx."""
    status = exchange.status
    if status is None or status < 300:
        return None
    message = error_message(exchange.body) or exchange.reason
    if location := exchange.headers.get("location"):
        message = f"redirected to {location}; redirects are not followed"
    text = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    if status == 429:
        return Failure("throttled", text)
    if is_filters(_decoded(exchange.body)):
        return Failure("blocked", text)
    return Failure("http_5xx" if status >= 500 else "http_4xx", text)


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def failure_of_error(data: Any) -> Failure:
    """The failure that a decoded error inside an answer stands for."""
    return Failure("blocked" if is_filters(data) else "stream_error", error_text(data))


def failure_in(body: bytes) -> Failure | None:
    """The failure that a body tells of which is one JSON object with an error; None for any other."""
    data = _decoded(body)
    return failure_of_error(data) if isinstance(data, Mapping) and any(data.get(word) for word in _ERRORS) else None


def error_message(body: bytes) -> str:
    """What an error body says: `error` or `detail` as a string or an object with a message, else the text itself."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return shortened(" ".join(body[:4 * _MESSAGE_LIMIT].decode("utf-8", "replace").split()), _MESSAGE_LIMIT)
    return error_text(data)


_WORDS = ("error", "message", "detail", "Message", "msg", "errors", "error_message", "errorMessage", "error_msg",
          "err_msg", "status_msg", "description", "title", "reason")


def error_text(data: Any) -> str:
    """The message in a decoded error, in any of the shapes that servers use; text that can be written."""
    try:
        while isinstance(data, Mapping | list):
            if isinstance(data, list):
                data = data[0] if len(data) == 1 else "; ".join(map(error_text, data[:_MAX_ERRORS]))
            else:
                data = next((data[key] for key in _WORDS if data.get(key)), str(dict(data)))
    except RecursionError:
        data = "an error nested too deeply to be told"
    text = str(data)[:4 * _MESSAGE_LIMIT].encode("utf-8", "replace").decode()
    return shortened(text, _MESSAGE_LIMIT)
