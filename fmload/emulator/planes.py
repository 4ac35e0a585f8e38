"""Which protocol a path belongs to, how its requests are opened, and how each says no."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from fmload.base.errors import FmloadError
from fmload.emulator import bedrock, openai, sagemaker
from fmload.emulator.dialect import Ask, Dialect, Plane
from fmload.emulator.faults import Fault
from fmload.emulator.http import Refusal, Request, json_refusal
from fmload.emulator.odd import Form, Odd
from fmload.emulator.settings import Settings
from fmload.plugins import FORMS

_OPENAI = re.compile(r"(?:/endpoints/[^/]+/openai|/openai)?/v1/(chat/)?completions$")
_SAGEMAKER = re.compile(r"/endpoints/[^/]+/invocations(-response-stream)?$")


@dataclass(frozen=True, slots=True)
class Opened:
    """A request that was understood."""

    ask: Ask
    dialect: Dialect


def plane_of(path: str) -> Plane | None:
    """The data plane of a POST path; None for every other path."""
    if _OPENAI.match(path) or path == "/invocations":
        return "openai"
    if _SAGEMAKER.match(path):
        return "sagemaker"
    return "bedrock" if bedrock.split_path(path) else None


def open_request(plane: Plane, request: Request, number: int, settings: Settings) -> Opened:
    """Reads the request. Raises Refusal in the plane's own shape."""
    if not request.path.startswith(("/v1/", "/invocations")) and "authorization" not in request.headers:
        raise aws_refusal(plane, 403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    try:
        return _OPEN[plane](request, number, settings)
    except Refusal as refusal:
        if plane == "openai" or refusal.headers:
            raise
        raise _bad_request(plane, openai.parse_json(refusal.body)["error"]["message"]) from refusal
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # a value of a kind that nobody expects there
        raise _bad_request(plane, f"the body has not the form that is expected: {error}") from error


def _open_openai(request: Request, number: int, settings: Settings) -> Opened:
    if settings.api_key and request.headers.get("authorization") != f"Bearer {settings.api_key}":
        raise openai.refusal(401, "Incorrect API key provided", "authentication_error")
    body = openai.parse_json(request.body)
    chat = "messages" in body or request.path.endswith("/chat/completions")
    ask = openai.parse(body, chat)
    if settings.models and ask.model not in settings.models:
        raise openai.refusal(404, f"The model `{ask.model}` does not exist.", "NotFoundError")
    return Opened(ask, odd_of(request, settings, openai.OpenAIDialect(ask, body, number, chat, settings.shape)))


def _open_sagemaker(request: Request, number: int, settings: Settings) -> Opened:
    name = request.path.split("/")[2]
    if settings.models and name not in settings.models:
        raise aws_refusal("sagemaker", 400, "ValidationError", f"Endpoint {name} of account 123456789012 not found.")
    body = openai.parse_json(request.body)
    ask = sagemaker.parse(body)
    streaming = request.path.endswith("-response-stream")
    ask.stream = ask.stream and streaming  # InvokeEndpoint gathers what a container streams
    accept = request.headers.get("x-amzn-sagemaker-accept", request.headers.get("accept", ""))
    inner = odd_of(request, settings, sagemaker.container(ask, body, number, settings.shape, accept))
    return Opened(ask, sagemaker.PayloadParts(inner, settings.shape.part_bytes) if streaming else inner)


def _open_bedrock(request: Request, number: int, settings: Settings) -> Opened:
    model, operation = bedrock.split_path(request.path) or ("", "")
    if settings.models and model not in settings.models:
        raise aws_refusal("bedrock", 400, "ValidationException", "The provided model identifier is invalid.")
    body, stream = openai.parse_json(request.body), operation.endswith("stream")
    if operation.startswith("converse"):
        return Opened(bedrock.parse_converse(model, body, stream), odd_of(request, settings, bedrock.ConverseDialect()))
    family = bedrock.family_of(model)
    ask = family.parse(body)
    ask.model, ask.stream = model, stream
    return Opened(ask, odd_of(request, settings, bedrock.InvokeDialect(family())))


def form_of(request: Request, settings: Settings) -> tuple[str, Form] | None:
    """The odd form that the request's own header asks for, or all requests are answered in. Raises Refusal."""
    name = request.headers.get("x-emulator-dialect", settings.dialect)
    try:
        return None if name is None else (name, FORMS.load(name))
    except FmloadError as error:
        raise openai.refusal(400, str(error)) from error


def odd_of(request: Request, settings: Settings, dialect: Dialect) -> Dialect:
    """The dialect, in the odd form that was asked for. It tells running totals only where the form does."""
    form = form_of(request, settings)
    if form is None:
        return dialect
    if isinstance(dialect, openai.OpenAIDialect):
        dialect.usage_each = False
    return Odd(dialect, form[1])


_OPEN: dict[Plane, Callable[[Request, int, Settings], Opened]] = {
    "openai": _open_openai, "sagemaker": _open_sagemaker, "bedrock": _open_bedrock}


# --- refusals ---

# Status of AWS's error codes, and the code for a bare status, as the service models of botocore list them.
_AWS_STATUS = {
    "ThrottlingException": 429, "ModelNotReadyException": 429, "ValidationException": 400, "ValidationError": 400,
    "ModelError": 424, "ModelErrorException": 424, "ServiceUnavailable": 503, "ServiceUnavailableException": 503,
    "InternalFailure": 500, "InternalServerException": 500, "InternalDependencyException": 530,
    "ModelTimeoutException": 408, "AccessDeniedException": 403, "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 400, "ExpiredTokenException": 403, "UnrecognizedClientException": 403,
}
_SAGEMAKER_CODES = {400: "ValidationError", 401: "UnrecognizedClientException", 403: "AccessDeniedException",
                    404: "ValidationError", 424: "ModelError", 429: "ThrottlingException", 500: "InternalFailure",
                    503: "ServiceUnavailable", 530: "InternalDependencyException"}
_BEDROCK_CODES = {400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException",
                  404: "ResourceNotFoundException", 408: "ModelTimeoutException", 424: "ModelErrorException",
                  429: "ThrottlingException", 500: "InternalServerException", 503: "ServiceUnavailableException"}
_OPENAI_KINDS = {400: "BadRequestError", 401: "authentication_error", 403: "permission_error", 404: "NotFoundError",
                 429: "rate_limit_exceeded", 503: "Service Unavailable"}


def refuse(plane: Plane, fault: Fault) -> Refusal:
    """The HTTP error that a `status` fault asks for, as the plane writes it."""
    status = _AWS_STATUS.get(fault.aws, fault.code) if fault.aws else fault.code
    headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
    if fault.html:
        body = f"<html><body><h1>{status}</h1></body></html>".encode()
        return Refusal(status, body, headers, "text/html", "fault")
    return _error(plane, status, fault.aws, f"emulated error {fault.aws or status}", headers, "fault")


def unavailable(plane: Plane, why: str) -> Refusal:
    """The answer to a request that the engine would not take, or kept waiting too long."""
    message = {"refused": "the queue is full", "queue_timeout": "the request waited too long in the queue"}[why]
    return _error(plane, 503, None, message, {}, why)


def aws_refusal(plane: Plane, status: int, code: str, message: str, headers: dict[str, str] | None = None,
                outcome: str = "rejected") -> Refusal:
    """An error in AWS's shape: the code in `x-amzn-ErrorType`, the message in the body."""
    body: dict[str, object] = {"Message" if plane == "sagemaker" else "message": message}
    if code == "ModelError":
        body |= {"OriginalStatusCode": 503, "OriginalMessage": "overloaded", "ErrorCode": "CLIENT_ERROR_FROM_MODEL",
                 "LogStreamArn": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/emulated"}
    elif code == "ModelErrorException":
        body |= {"originalStatusCode": 503, "resourceName": "emulated"}
    return json_refusal(status, body, {"x-amzn-ErrorType": code, **(headers or {})}, outcome)


def _bad_request(plane: Plane, message: str) -> Refusal:
    return _error(plane, 400, None, message, {}, "rejected")


def _error(plane: Plane, status: int, code: str | None, message: str, headers: dict[str, str],
           outcome: str) -> Refusal:
    if plane == "openai":
        return openai.refusal(status, message, _OPENAI_KINDS.get(status, "server_error"), headers, outcome)
    codes = _SAGEMAKER_CODES if plane == "sagemaker" else _BEDROCK_CODES
    return aws_refusal(plane, status, code or codes.get(status, "InternalFailure"), message, headers, outcome)
