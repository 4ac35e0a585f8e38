"""HTTP errors of both runtimes: outcome and message, in agreement with botocore's own reading of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import ResponseParserFactory

from fmload.endpoints.aws_errors import http_failure
from fmload.model.outcome import Outcome
from fmload.wire.exchange import Exchange


def failure(status: int, body: Any, code: str | None = None) -> tuple[Outcome, str]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"x-amzn-errortype": code} if code else {}
    found = http_failure(Exchange("h", status=status, headers=headers, body=raw, complete=True, reason="Reason"))
    assert found is not None
    return found.outcome, found.message


def test_below_300_is_no_failure() -> None:
    assert http_failure(Exchange("h", status=200)) is None


def test_an_exchange_without_a_response_is_left_to_the_wire() -> None:
    assert http_failure(Exchange("h")) is None


@pytest.mark.parametrize(("status", "code", "body", "outcome", "message"), [
    (429, "ThrottlingException", {"message": "Too many"}, "throttled", "ThrottlingException: Too many"),
    (400, "ThrottlingException", {"message": "Rate exceeded"}, "throttled", "ThrottlingException: Rate exceeded"),
    (429, "ModelNotReadyException", {"message": "restoring"}, "throttled", "ModelNotReadyException: restoring"),
    (400, "ServiceQuotaExceededException", {"message": "quota"}, "throttled", "ServiceQuotaExceededException: quota"),
    (400, "ValidationException", {"message": "bad"}, "http_4xx", "ValidationException: bad"),
    (400, "ValidationError", {"Message": "Endpoint x of account 1 not found."}, "http_4xx",
     "ValidationError: Endpoint x of account 1 not found."),
    (403, "AccessDeniedException", {"Message": "no"}, "http_4xx", "AccessDeniedException: no"),
    (403, "ExpiredTokenException", {"message": "The security token included in the request is expired"}, "http_4xx",
     "ExpiredTokenException: The security token included in the request is expired"),
    (404, "ResourceNotFoundException", {"message": "none"}, "http_4xx", "ResourceNotFoundException: none"),
    (408, "ModelTimeoutException", {"message": "late"}, "timeout_total", "ModelTimeoutException: late"),
    (500, "InternalFailure", {"Message": "oops"}, "http_5xx", "InternalFailure: oops"),
    (503, "ServiceUnavailable", {"Message": "later"}, "http_5xx", "ServiceUnavailable: later"),
    (530, "InternalDependencyException", {"Message": "x"}, "http_5xx", "InternalDependencyException: x"),
    (503, None, b"<html><head><style>a{}</style></head><body><h1>503</h1>\n Try later</body></html>", "http_5xx",
     "HTTP 503: 503 Try later"),
    (403, None, b"<html><body>Forbidden</body></html>", "http_4xx", "HTTP 403: Forbidden"),
    (502, None, b"", "http_5xx", "HTTP 502: Reason"),
    (400, None, b"[1, 2]", "http_4xx", "HTTP 400: [1, 2]"),
    (301, None, b"", "http_4xx", "HTTP 301: Reason"),
])
def test_every_http_error_has_its_outcome(status: int, code: str | None, body: Any, outcome: Outcome,
                                          message: str) -> None:
    assert failure(status, body, code) == (outcome, message)


@pytest.mark.parametrize(("original", "outcome"), [(500, "http_5xx"), (429, "throttled"), (400, "http_4xx"),
                                                   (None, "http_4xx")])
def test_a_model_error_is_judged_by_the_container_s_own_status(original: int | None, outcome: Outcome) -> None:
    told = {} if original is None else {"OriginalStatusCode": original, "OriginalMessage": "out of memory"}
    found, message = failure(424, {"Message": "failed", **told, "LogStreamArn": "arn:x"}, "ModelError")
    assert found == outcome
    assert message == ("ModelError: failed" if original is None else
                       f"ModelError: failed (originally {original}: out of memory)")


@pytest.mark.parametrize("original", [0, 408])
def test_a_model_that_passed_the_services_limit_is_a_time_out(original: int) -> None:
    found, message = failure(424, {"Message": "no answer in 60 s", "OriginalStatusCode": original}, "ModelError")
    assert found == "timeout_total" and "the service's own time limit" in message


def test_messages_have_a_limit() -> None:
    assert len(failure(400, {"message": "x" * 10_000}, "ValidationException")[1]) == 500


@pytest.mark.parametrize("service", ["sagemaker-runtime", "bedrock-runtime"])
def test_code_and_message_are_those_that_botocore_reads(service: str) -> None:
    model = ServiceModel(Loader().load_service_model(service, "service-2"), service)
    parser = ResponseParserFactory().create_parser("rest-json")
    key = "Message" if service == "sagemaker-runtime" else "message"
    for shape in model.error_shapes:
        status = shape.metadata.get("error", {}).get("httpStatusCode", 400)
        body = json.dumps({key: "it broke"}).encode()
        for header, fields in ({"x-amzn-errortype": f"{shape.name}:http://internal.amazon.com/coral/"}, {}), (
                {}, {"__type": f"com.amazonaws#{shape.name}"}):
            raw = json.dumps({**json.loads(body), **fields}).encode()
            theirs = parser.parse({"headers": header, "body": raw, "status_code": status}, None)["Error"]
            ours = http_failure(Exchange("h", status=status, headers=header, body=raw, complete=True))
            assert ours is not None and ours.message == f"{theirs['Code']}: {theirs['Message']}"
