"""Unmodified boto3 clients against the emulator's SageMaker and Bedrock planes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError, ResponseStreamingError
from urllib3.exceptions import ProtocolError

from tests.integration.emulator.conftest import Emulate, Emulated

MESSAGES = [{"role": "user", "content": [{"text": "hello you"}]}]
LIMIT = {"maxTokens": 6}
BODIES: dict[str, dict[str, Any]] = {
    "anthropic.claude-haiku": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 6},
    "us.meta.llama3-8b": {"prompt": "hi", "max_gen_len": 6},
    "us.amazon.nova-lite-v1:0": {"messages": MESSAGES, "inferenceConfig": LIMIT},
    "mistral.mixtral": {"prompt": "hi", "max_tokens": 6}}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")


@pytest.fixture(scope="module")
def server(emulate_module: Emulate) -> Emulated:
    return emulate_module("--profile", "instant")


def client(server: Emulated, name: str, fault: str | None = None, **settings: Any) -> Any:
    config = Config(retries={"total_max_attempts": 1}, **settings)
    made: Any = boto3.client(  # type: ignore[call-overload]
        name, endpoint_url=server.url, region_name="us-east-1", config=config, verify=server.ca_file)
    if fault is not None:
        made.meta.events.register("before-call", lambda params, **_: params["headers"].update(
            {"X-Emulator-Fault": fault}))
    return made


def sagemaker_bytes(server: Emulated, body: dict[str, Any], **options: Any) -> bytes:
    response = client(server, "sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName="e", Body=json.dumps(body), ContentType="application/json", **options)
    return b"".join(event["PayloadPart"]["Bytes"] for event in response["Body"])


def converse(server: Emulated, fault: str | None = None) -> Iterator[dict[str, Any]]:
    response = client(server, "bedrock-runtime", fault).converse_stream(modelId="us.amazon.nova-lite-v1:0",
                                                                 messages=MESSAGES, inferenceConfig=LIMIT)
    yield from response["stream"]


def test_sagemaker_streams_every_format(emulate: Emulate) -> None:
    server = emulate("--profile", "instant", "--tls", "--shape", "part_bytes=23")
    tgi = {"inputs": "hello", "parameters": {"max_new_tokens": 6}, "stream": True}
    events = [json.loads(line[5:]) for line in sagemaker_bytes(server, tgi).splitlines() if line]
    assert len(events) == 6 and events[-1]["details"]["generated_tokens"] == 6
    lines = [json.loads(line) for line in sagemaker_bytes(server, tgi, Accept="application/jsonlines").splitlines()]
    assert len(lines) == 6 and lines[-1]["details"]["finish_reason"] == "length"
    chat = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 6, "stream": True}
    assert sagemaker_bytes(server, chat).count(b'"content":" ') == 6
    whole = client(server, "sagemaker-runtime").invoke_endpoint(EndpointName="e", Body=json.dumps(tgi))
    assert len(json.loads(whole["Body"].read())[0]["generated_text"].split()) == 6
    assert [truth.output_tokens for truth in server.truths(4)] == [6] * 4


def test_bedrock_converses(emulate: Emulate) -> None:
    server = emulate("--profile", "instant", "--shape", "reasoning_tokens=2")
    events = list(converse(server))
    text = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert ["reasoningContent" in delta for delta in text] == [True, True, False, False, False, False]
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 6
    assert events[-2] == {"messageStop": {"stopReason": "max_tokens"}}
    whole = client(server, "bedrock-runtime").converse(modelId="m", messages=MESSAGES, inferenceConfig=LIMIT)
    assert whole["usage"]["outputTokens"] == 6


@pytest.mark.parametrize("model", BODIES)
def test_bedrock_invokes_each_family(server: Emulated, model: str) -> None:
    runtime = client(server, "bedrock-runtime")
    response = runtime.invoke_model_with_response_stream(modelId=model, body=json.dumps(BODIES[model]))
    objects = [json.loads(event["chunk"]["bytes"]) for event in response["body"]]
    metrics = objects[-1]["amazon-bedrock-invocationMetrics"]
    truth = server.truth_of(response["ResponseMetadata"]["RequestId"])
    assert (metrics["outputTokenCount"], metrics["inputTokenCount"]) == (6, truth.input_tokens)
    whole = runtime.invoke_model(modelId=model, body=json.dumps(BODIES[model]))
    assert whole["ResponseMetadata"]["HTTPHeaders"]["x-amzn-bedrock-output-token-count"] == "6"
    assert len(whole["body"].read()) > 30


def test_requests_that_boto3_sent_are_found_by_its_invocation_id(server: Emulated) -> None:
    seen: list[str] = []
    runtime = client(server, "bedrock-runtime")
    runtime.meta.events.register("before-send", lambda request, **_: seen.append(
        request.headers["amz-sdk-invocation-id"].decode()))
    runtime.converse(modelId="m", messages=MESSAGES)
    assert server.truth_of(seen[0]).output_tokens == 128


@pytest.mark.parametrize(("service", "fault", "code", "status"), [
    ("bedrock", "429", "ThrottlingException", 429),
    ("bedrock", "ModelNotReadyException", "ModelNotReadyException", 429),
    ("bedrock", "503", "ServiceUnavailableException", 503),
    ("bedrock", "AccessDeniedException", "AccessDeniedException", 403),
    ("sagemaker", "ModelError", "ModelError", 424),
    ("sagemaker", "429", "ThrottlingException", 429),
    ("sagemaker", "InternalDependencyException", "InternalDependencyException", 530),
])
def test_errors_have_awss_shape(server: Emulated, service: str, fault: str, code: str, status: int) -> None:
    with pytest.raises(ClientError) as caught:
        if service == "bedrock":
            list(converse(server, fault))
        else:
            client(server, "sagemaker-runtime", fault).invoke_endpoint(EndpointName="e", Body=b"{}")
    response: dict[str, Any] = dict(caught.value.response)
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert response["Error"]["Message"]
    if code == "ModelError":
        assert (response["OriginalStatusCode"], response["OriginalMessage"]) == (503, "overloaded")


@pytest.mark.parametrize(("fault", "code"), [
    ("throttlingException:after=3", "throttlingException"), ("error:after=3", "modelStreamErrorException"),
    ("error:after=3,how=error,aws=Strange", "Strange")])
def test_a_failure_inside_a_stream_raises_after_the_tokens_before_it(server: Emulated, fault: str, code: str) -> None:
    events: list[dict[str, Any]] = []
    with pytest.raises(EventStreamError) as caught:
        events.extend(converse(server, fault))
    assert caught.value.response["Error"]["Code"] == code
    assert sum("contentBlockDelta" in event for event in events) == 3


def test_a_stream_cut_inside_a_frame_is_an_error_of_the_connection(server: Emulated) -> None:
    with pytest.raises((ResponseStreamingError, ProtocolError)):
        list(converse(server, "cut:after=3,mid,how=fin"))


def test_requests_without_a_signature_are_refused(server: Emulated) -> None:
    with pytest.raises(ClientError) as caught:
        client(server, "bedrock-runtime", signature_version=UNSIGNED).converse(modelId="m", messages=MESSAGES)
    assert caught.value.response["Error"]["Code"] == "MissingAuthenticationTokenException"


def test_a_bad_body_is_a_validation_error(server: Emulated) -> None:
    with pytest.raises(ClientError) as caught:
        client(server, "bedrock-runtime").invoke_model(modelId="mistral.x", body=b'{"prompt": "x", "max_tokens": 0}')
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert "max_tokens" in caught.value.response["Error"]["Message"]


def test_unknown_names_are_refused_as_aws_does(emulate: Emulate) -> None:
    server = emulate("--profile", "instant", "--model", "known")
    with pytest.raises(ClientError, match=r"ValidationError.*Endpoint e of account \d+ not found"):
        client(server, "sagemaker-runtime").invoke_endpoint(EndpointName="e", Body=b"{}")
    with pytest.raises(ClientError, match=r"ValidationException.*model identifier is invalid"):
        client(server, "bedrock-runtime").converse(modelId="m", messages=MESSAGES)


def test_sagemakers_openai_path_speaks_openai(server: Emulated) -> None:
    import openai

    sdk = openai.OpenAI(base_url=f"{server.url}/endpoints/e/openai/v1", api_key="bearer", max_retries=0)
    answer = sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], max_tokens=4)
    assert answer.usage is not None and answer.usage.completion_tokens == 4
