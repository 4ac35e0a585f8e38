"""Unmodified boto3 clients and fmload stream from the same emulator, plain and over TLS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import boto3
import gevent
import pytest
from botocore.config import Config

from fmload.config.schema import EndpointSpec
from fmload.emulator import truth
from fmload.endpoints.base import Endpoint
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record
from fmload.plugins import ENDPOINTS
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import measure

Server = dict[str, Any]
TOKENS = 8
NOVA, CLAUDE = "amazon.nova-lite-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
LLAMA, MISTRAL = "meta.llama3-1-8b-instruct-v1:0", "mistral.mistral-7b-instruct-v0:2"


@pytest.fixture(scope="module", params=["plain", "tls"])
def server(request: pytest.FixtureRequest, start: Callable[..., Server]) -> Server:
    return start("--ttft", "20ms", "--gap", "5ms", "--shape", "part_bytes=50",
                 *(["--tls"] if request.param == "tls" else []))


def make(server: Server, **keys: Any) -> Endpoint:
    spec = EndpointSpec.model_validate({"name": "x", "region": "us-east-1", "url": server["url"],
                                        "ca_file": server.get("ca_file"), "emulated": "steady", **keys})
    endpoint: Endpoint = ENDPOINTS.load(spec.protocol).from_spec(spec)
    return endpoint


def ask(server: Server, **keys: Any) -> tuple[Record, Reading]:
    endpoint, wire = make(server, **keys), Http1Wire()
    prompt = Prompt("p", "set", text="Tell me why the sky is blue.", output_tokens=TOKENS)
    try:
        return measure(endpoint, prompt, wire, endpoint.addresses()[0], request_id=uuid4().hex, worker="w", stage=0,
                       scheduled_ns=0)
    finally:
        wire.close()


def true_of(server: Server, request_id: str) -> truth.Truth:
    """What the server did; it writes its log after the client has its answer."""
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        for item in truth.read(server["truth"]):
            if item.request_id == request_id:
                return item
        time.sleep(0.02)
    raise AssertionError(f"the server's log does not hold {request_id}")


def client(server: Server, service: str) -> Any:
    return boto3.client(service, region_name="us-east-1", endpoint_url=server["url"],
                        verify=server.get("ca_file") or True, config=Config(retries={"total_max_attempts": 1}))


WAYS: dict[str, dict[str, Any]] = {
    "sagemaker openai": {"protocol": "sagemaker", "payload_format": "openai"},
    "sagemaker tgi": {"protocol": "sagemaker", "payload_format": "tgi"},
    "sagemaker djl": {"protocol": "sagemaker", "payload_format": "djl"},
    "converse": {"protocol": "bedrock", "model": NOVA},
    "invoke anthropic": {"protocol": "bedrock", "api": "invoke", "model": CLAUDE},
    "invoke llama": {"protocol": "bedrock", "api": "invoke", "model": LLAMA},
    "invoke nova": {"protocol": "bedrock", "api": "invoke", "model": NOVA},
    "invoke mistral": {"protocol": "bedrock", "api": "invoke", "model": MISTRAL},
}


@pytest.mark.parametrize("way", WAYS)
def test_fmload_streams_with_kernel_stamps(server: Server, way: str) -> None:
    record, _ = ask(server, **WAYS[way])
    assert (record.outcome, record.error) == ("ok", None)
    assert sum(record.chunk_tokens) == record.output_tokens == TOKENS
    assert record.input_tokens
    assert record.stamp == "kernel"
    assert list(record.chunk_ns) == sorted(record.chunk_ns)
    for seen, written in zip(record.chunk_ns, true_of(server, record.request_id).token_ns, strict=True):
        assert seen > written - 1_000_000  # nothing arrives before it was sent


@pytest.mark.parametrize("way", WAYS)
def test_fmload_reads_whole_answers(server: Server, way: str) -> None:
    record, reading = ask(server, stream=False, **WAYS[way])
    assert (record.outcome, record.error) == ("ok", None)
    assert len(reading.chunks) == 1 and record.finish_reason
    assert sum(record.chunk_tokens) == record.output_tokens == TOKENS


def test_unmodified_boto3_streams_converse(server: Server) -> None:
    response = client(server, "bedrock-runtime").converse_stream(
        modelId=NOVA, messages=[{"role": "user", "content": [{"text": "Why?"}]}], inferenceConfig={"maxTokens": TOKENS})
    events = list(response["stream"])
    assert sum("contentBlockDelta" in event for event in events) == TOKENS
    assert events[-1]["metadata"]["usage"]["outputTokens"] == TOKENS


def test_unmodified_boto3_streams_invoke_model(server: Server) -> None:
    response = client(server, "bedrock-runtime").invoke_model_with_response_stream(
        modelId=LLAMA, body=json.dumps({"prompt": "Why?", "max_gen_len": TOKENS}))
    chunks = [json.loads(event["chunk"]["bytes"]) for event in response["body"]]
    assert chunks[-1]["stop_reason"] and any(chunk["generation"] for chunk in chunks)


def test_unmodified_boto3_streams_from_sagemaker(server: Server) -> None:
    response = client(server, "sagemaker-runtime").invoke_endpoint_with_response_stream(
        EndpointName="e", ContentType="application/json",
        Body=json.dumps({"messages": [{"role": "user", "content": "Why?"}], "max_tokens": TOKENS, "stream": True}))
    text = b"".join(event["PayloadPart"]["Bytes"] for event in response["Body"])
    assert text.rstrip().endswith(b"data: [DONE]")


def test_the_openai_path_of_sagemaker_takes_a_bearer_token(server: Server) -> None:
    url = server["url"].rstrip("/").removesuffix("/v1") + "/endpoints/llama/openai/v1"
    record, _ = ask({**server, "url": url}, protocol="openai", auth="sagemaker", model="m")
    assert (record.outcome, record.output_tokens) == ("ok", TOKENS)


def test_one_client_serves_many_greenlets_at_once(server: Server) -> None:
    endpoint, wire = make(server, **WAYS["converse"]), Http1Wire()
    address = endpoint.addresses()[0]

    def one(number: int) -> Record:
        prompt = Prompt("p", "set", text=f"Count to {number}.", output_tokens=number)
        return measure(endpoint, prompt, wire, address, request_id=uuid4().hex, worker="w", stage=0, scheduled_ns=0)[0]
    greenlets = [gevent.spawn(one, number) for number in range(1, 17)]
    gevent.joinall(greenlets, timeout=30, raise_error=True)
    wire.close()
    for number, greenlet in enumerate(greenlets, 1):
        record: Record = greenlet.value
        assert (record.outcome, len(record.chunk_ns)) == ("ok", number)
        assert len(true_of(server, record.request_id).token_ns) == number


def test_a_killed_user_leaves_the_record_of_what_had_come(start: Callable[..., Server]) -> None:
    stalling = start("--ttft", "10ms", "--gap", "5ms", "--fault", "stall:after=3,seconds=60")
    greenlet = gevent.spawn(ask, stalling, **WAYS["converse"])
    gevent.sleep(2)
    greenlet.kill(timeout=10)
    record, _ = greenlet.value
    assert (record.outcome, len(record.chunk_ns)) == ("cancelled", 3)
