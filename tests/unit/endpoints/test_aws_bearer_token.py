"""Bearer tokens for the OpenAI paths of SageMaker and Bedrock."""

from __future__ import annotations

import base64
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.endpoints.aws import bearer_token
from fmload.model.prompt import Prompt
from fmload.plugins import ENDPOINTS
from fmload.wire.exchange import Address, CarriesToken, Exchange, HttpRequest

pytestmark = pytest.mark.usefixtures("aws_environment")


@pytest.mark.parametrize("kind", ["sagemaker", "bedrock"])
def test_a_token_is_a_signed_call_that_expires(kind: Any) -> None:
    token = bearer_token(kind, "x", "eu-west-1", life_s=1800)()
    prefix, encoded = token.rsplit("-", 1)
    assert prefix == f"{kind}-api-key"
    url = urlsplit("https://" + base64.b64decode(encoded).decode())
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert url.netloc == f"{kind}.amazonaws.com" and url.path == "/"
    assert (query["Action"], query["Version"], query["X-Amz-Expires"]) == ("CallWithBearerToken", "1", "1800")
    assert query["X-Amz-Credential"].endswith(f"/eu-west-1/{kind}/aws4_request")
    assert query["X-Amz-Security-Token"] == "session"
    assert len(query["X-Amz-Signature"]) == 64
    assert "hidden-secret" not in str(url)


def test_a_token_is_made_anew_half_way_through_its_life(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    current = bearer_token("sagemaker", "x", "us-east-1", life_s=100)
    made: list[str] = []
    monkeypatch.setattr("fmload.endpoints.aws._signed_token", lambda *_: made.append("t") or f"token {len(made)}")
    assert [current(), current()] == ["token 1", "token 1"]
    now += 51
    assert current() == "token 2"


def test_bedrock_s_token_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "given")
    assert bearer_token("bedrock", "x")() == "given"


def test_without_a_region_it_is_an_error() -> None:
    with pytest.raises(FmloadError, match="'x': no AWS region"):
        bearer_token("sagemaker", "x")


class RecordingWire:
    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    def exchange(self, address: Address, request: HttpRequest, carries_token: CarriesToken) -> Exchange:
        self.headers = dict(request.headers)
        return Exchange(str(address))


@pytest.mark.parametrize("protocol", ["openai", "responses", "anthropic"])
def test_the_protocols_of_awss_own_paths_send_the_token(protocol: str) -> None:
    endpoint = ENDPOINTS.load(protocol).from_spec(EndpointSpec.model_validate({
        "name": "x", "protocol": protocol, "auth": "sagemaker", "region": "us-east-1",
        "url": "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/llama/openai/v1"}))
    wire = RecordingWire()
    endpoint.send(Prompt("p", "s", text="x"), "r", wire, endpoint.addresses()[0])
    assert wire.headers["Authorization"].startswith("Bearer sagemaker-api-key-")
