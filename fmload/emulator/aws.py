"""What the planes of AWS share: errors in AWS's shape, and that a request has to be signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import orjson

from fmload.emulator.http import Refusal, Request, json_refusal
from fmload.emulator.plane import Refuse

REQUEST_ID = "x-amzn-RequestId"


def require_signature(request: Request, refuse: Refuse) -> None:
    """Signatures are not checked, but there has to be one. Raises Refusal."""
    if "authorization" not in request.headers:
        raise refuse(403, "Missing Authentication Token", "MissingAuthenticationTokenException")


def refusal(message_key: str, codes: Mapping[int, str]) -> Refuse:
    """How a service writes its errors: the code in `x-amzn-ErrorType` (by `codes` of a bare status), the message in
    the body."""
    def refuse(status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None,
               outcome: str = "rejected") -> Refusal:
        code = code or codes.get(status, "InternalFailure")
        body: dict[str, object] = {message_key: message}
        if code == "ModelError":
            body |= {"OriginalStatusCode": 503, "OriginalMessage": "overloaded", "ErrorCode": "CLIENT_ERROR_FROM_MODEL",
                     "LogStreamArn": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/emulated"}
        elif code == "ModelErrorException":
            body |= {"originalStatusCode": 503, "resourceName": "emulated"}
        return json_refusal(status, body, {"x-amzn-ErrorType": code, **(headers or {})}, outcome)
    return refuse


def with_original_status(refusal: Refusal, status: int) -> Refusal:
    """An error of the model's own, in the service's envelope, with the status that the model gave; others stay."""
    fields = orjson.loads(refusal.body)
    told = {name: status for name in ("OriginalStatusCode", "originalStatusCode") if name in fields}
    return replace(refusal, body=orjson.dumps({**fields, **told}))
