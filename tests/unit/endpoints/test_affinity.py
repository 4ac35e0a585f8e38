"""What keeps the requests of a session together: a header, a key of the body, SageMaker's stateful sessions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from fmload.config.schema import EndpointSpec
from fmload.endpoints.building import build
from fmload.model.prompt import Prompt
from fmload.wire.exchange import Address, CarriesToken, Exchange, HttpRequest

FIRST = Prompt("p", "talk", text="Hello", conversation="0/a/talk-1")


class Wire:
    """Keeps the requests; opens a SageMaker session where one is asked for."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    def exchange(self, address: Address, request: HttpRequest, carries_token: CarriesToken) -> Exchange:
        self.requests.append(request)
        asked = {name.lower(): value for name, value in request.headers.items()}.get("x-amzn-sagemaker-session-id")
        told = {"x-amzn-sagemaker-new-session-id": f"id-{len(self.requests)}; Expires=2030-01-01T00:00:00Z"}
        return Exchange(str(address), status=200, complete=True, headers=told if asked == "NEW_SESSION" else {})


def sent(keys: dict[str, Any], *prompts: Prompt) -> list[HttpRequest]:
    endpoint, wire = build(EndpointSpec.model_validate({"name": "e", **keys})), Wire()
    for prompt in prompts:
        endpoint.send(prompt, "request-1", wire, endpoint.addresses()[0])  # type: ignore[arg-type]
    return wire.requests


OPENAI = {"protocol": "openai", "url": "http://127.0.0.1:9/v1"}
SAGEMAKER = {"protocol": "sagemaker", "endpoint_name": "llama", "payload_format": "openai", "region": "us-east-1"}


def test_a_header_and_a_key_of_the_body_name_the_session() -> None:
    request, = sent({**OPENAI, "session_header": "X-Session-Id", "session_field": "prompt_cache_key"}, FIRST)
    assert request.headers["X-Session-Id"] == json.loads(request.body)["prompt_cache_key"] == "0/a/talk-1"


def test_a_request_of_no_session_names_none_and_neither_does_one_without_the_options() -> None:
    alone = Prompt("p", "talk", text="Hello")
    for request in (*sent({**OPENAI, "session_header": "X-Session-Id", "session_field": "user"}, alone),
                    *sent(OPENAI, FIRST)):
        assert b"talk-1" not in request.body and "user" not in json.loads(request.body)
        assert "X-Session-Id" not in request.headers


def test_a_header_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ValidationError, match="no name of a header"):
        EndpointSpec.model_validate({"name": "e", **OPENAI, "session_header": "a b"})


@pytest.mark.usefixtures("aws_environment")
def test_the_requests_of_a_session_go_to_the_stateful_session_that_the_first_has_opened() -> None:
    other = Prompt("p", "talk", text="Hello", conversation="0/a/talk-2")
    requests = sent({**SAGEMAKER, "stream": False, "sticky_sessions": True}, FIRST, FIRST, other, other)
    assert ids(requests) == ["NEW_SESSION", "id-1", "NEW_SESSION", "id-3"]


@pytest.mark.usefixtures("aws_environment")
def test_a_stream_cannot_open_a_session_so_a_request_before_it_does() -> None:
    requests = sent({**SAGEMAKER, "sticky_sessions": True}, FIRST, FIRST)
    assert ids(requests) == ["NEW_SESSION", "id-1", "id-1"]
    assert json.loads(requests[0].body) == {"requestType": "NEW_SESSION"}
    assert [request.target.rpartition("/")[2] for request in requests] == [
        "invocations", "invocations-response-stream", "invocations-response-stream"]


@pytest.mark.usefixtures("aws_environment")
def test_a_key_of_the_containers_parameters_names_the_session() -> None:
    request, = sent({**SAGEMAKER, "session_field": "session_id"}, FIRST)
    assert json.loads(request.body)["session_id"] == "0/a/talk-1"


def ids(requests: list[HttpRequest]) -> list[str | None]:
    """The session that each request names."""
    return [{name.lower(): value for name, value in request.headers.items()}.get("x-amzn-sagemaker-session-id")
            for request in requests]
