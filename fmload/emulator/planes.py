"""Which protocol a path belongs to, and how each says no."""

from __future__ import annotations

import json
from dataclasses import dataclass

from fmload.emulator import openai
from fmload.emulator.dialect import Ask, Dialect, Plane
from fmload.emulator.faults import Fault
from fmload.emulator.http import Refusal, Request
from fmload.emulator.settings import Settings


@dataclass(frozen=True, slots=True)
class Opened:
    """A request that was understood."""

    ask: Ask
    dialect: Dialect


def plane_of(path: str) -> Plane | None:
    """The data plane of a POST path; None for every other path."""
    if path in (openai.CHAT, openai.TEXT):
        return "openai"
    return None


def open_request(plane: Plane, request: Request, number: int, settings: Settings) -> Opened:
    """Reads the request. Raises Refusal in the plane's own shape."""
    return _open_openai(request, number, settings)


def _open_openai(request: Request, number: int, settings: Settings) -> Opened:
    if settings.api_key and request.headers.get("authorization") != f"Bearer {settings.api_key}":
        raise openai.refusal(401, "Incorrect API key provided", "authentication_error")
    body = openai.parse_json(request.body)
    chat = request.path.endswith("/chat/completions")
    ask = openai.parse(body, chat)
    if settings.models and ask.model not in settings.models:
        raise openai.refusal(404, f"The model `{ask.model}` does not exist.", "NotFoundError")
    return Opened(ask, openai.OpenAIDialect(ask, body, number, chat, settings.shape))


def refuse(plane: Plane, fault: Fault) -> Refusal:
    """The HTTP error that a `status` fault asks for, as the plane writes it."""
    headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
    if fault.html:
        body = f"<html><body><h1>{fault.code}</h1></body></html>".encode()
        return Refusal(fault.code, body, headers, "text/html", "fault")
    return openai.refusal(fault.code, f"emulated error {fault.code}", _KINDS.get(fault.code, "server_error"),
                          headers, "fault")


_KINDS = {400: "BadRequestError", 401: "authentication_error", 403: "permission_error", 404: "NotFoundError",
          429: "rate_limit_exceeded", 503: "Service Unavailable"}


def unavailable(plane: Plane, why: str) -> Refusal:
    """The answer to a request that the engine would not take or kept waiting too long."""
    message = {"refused": "the queue is full", "queue_timeout": "the request waited too long in the queue"}[why]
    refusal = refuse(plane, Fault("status", code=503))
    return Refusal(503, json.dumps({"error": {"message": message, "type": "overloaded_error", "code": 503}}).encode(),
                   refusal.headers, outcome=why)
