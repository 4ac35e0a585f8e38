"""The protocols of the server, each by its paths; and what all of them say no with."""

from __future__ import annotations

from functools import cache, lru_cache

from fmload.emulator.aws import with_original_status
from fmload.emulator.faults import Fault
from fmload.emulator.http import Refusal, Request, Unfit
from fmload.emulator.plane import Opened, Plane
from fmload.emulator.settings import Settings
from fmload.plugins import PLANES

# Status of AWS's error codes, by which faults are named, as the service models of botocore list them.
_AWS_STATUS = {
    "ThrottlingException": 429, "ModelNotReadyException": 429, "ValidationException": 400, "ValidationError": 400,
    "ModelError": 424, "ModelErrorException": 424, "ServiceUnavailable": 503, "ServiceUnavailableException": 503,
    "InternalFailure": 500, "InternalServerException": 500, "InternalDependencyException": 530,
    "ModelTimeoutException": 408, "AccessDeniedException": 403, "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 400, "ExpiredTokenException": 403, "UnrecognizedClientException": 403,
}


@cache
def _all() -> tuple[Plane, ...]:
    return tuple(PLANES.load(name) for name in PLANES.in_order())


@lru_cache(1024)
def plane_of(path: str) -> Plane | None:
    """The plane of a POST path; None for every other path."""
    return next((plane for plane in _all() if plane.serves(path)), None)


def open_request(plane: Plane, request: Request, number: int, settings: Settings) -> Opened:
    """Reads the request. Raises Refusal in the plane's own shape."""
    if settings.api_key and plane.key is not None and plane.key(request) != settings.api_key:
        raise plane.refuse(401, "Incorrect API key provided")
    try:
        return plane.open(request, number, settings)
    except Unfit as error:
        raise plane.refuse(400, str(error)) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # a value of a kind that nobody expects there
        raise plane.refuse(400, f"the body has not the form that is expected: {error}") from error


def refuse(plane: Plane, fault: Fault) -> Refusal:
    """The HTTP error that a `status` fault asks for, as the plane writes it."""
    status = _AWS_STATUS.get(fault.aws, fault.code) if fault.aws else fault.code
    headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
    if fault.html:
        body = f"<html><body><h1>{status}</h1></body></html>".encode()
        return Refusal(status, body, headers, "text/html", "fault")
    refusal = plane.refuse(status, f"emulated error {fault.aws or status}", fault.aws, headers, "fault")
    return refusal if fault.original is None else with_original_status(refusal, fault.original)


def unavailable(plane: Plane, why: str) -> Refusal:
    """The answer to a request that the engine would not take, or kept waiting too long."""
    message = {"refused": "the queue is full", "queue_timeout": "the request waited too long in the queue"}[why]
    return plane.refuse(503, message, outcome=why)
