"""Asynchronous endpoints over sockets: what is recorded beside the server's truth; unmodified boto3 against the
emulator, and moto's S3 against the endpoint."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from fmload.config.schema import EndpointSpec
from fmload.endpoints.building import build
from fmload.model.prompt import Prompt
from fmload.wire.exchange import Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import measure
from tests.integration.aws_endpoints.conftest import Start
from tests.load_rig import emulator, fmload_run

NEAR_NS = 1_000_000  # the kernel's stamps are of another clock, and put on this one
BODY = json.dumps({"inputs": "hello you", "parameters": {"max_new_tokens": 5, "details": True}}).encode()


def clients(url: str) -> tuple[Any, Any]:
    return tuple(boto3.client(name, endpoint_url=url, region_name="us-east-1") for name in ("sagemaker-runtime", "s3"))


def fetched(s3: Any, place: str) -> bytes:
    bucket, _, key = place.removeprefix("s3://").partition("/")
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            time.sleep(0.02)
    raise AssertionError(f"nothing came to {place}")


def test_unmodified_boto3_is_answered_where_it_is_told(start: Start) -> None:
    runtime, s3 = clients(start("--ttft", "50ms", "--gap", "2ms")["url"])
    inline = runtime.invoke_endpoint_async(EndpointName="e", Body=BODY, ContentType="application/json",
                                           InferenceId="mine")
    assert inline["InferenceId"] == "mine" and inline["ResponseMetadata"]["HTTPStatusCode"] == 202
    answer, = json.loads(fetched(s3, inline["OutputLocation"]))
    assert answer["details"]["generated_tokens"] == 5
    s3.put_object(Bucket="inputs", Key="a/b", Body=BODY)
    placed = runtime.invoke_endpoint_async(EndpointName="e", InputLocation="s3://inputs/a/b",
                                           ContentType="application/json")
    assert json.loads(fetched(s3, placed["OutputLocation"]))[0]["generated_text"] == answer["generated_text"]
    for wrong in ({}, {"InputLocation": "s3://inputs/none"}, {"InputLocation": "s3://inputs/a/b", "Body": BODY},
                  {"Body": b"x" * 128_001}):
        with pytest.raises(runtime.exceptions.ValidationError):
            runtime.invoke_endpoint_async(EndpointName="e", **wrong)


def test_a_failure_is_an_object_of_its_own(start: Start) -> None:
    runtime, s3 = clients(start("--fault", "error:after=2")["url"])
    told = runtime.invoke_endpoint_async(EndpointName="e", Body=BODY)
    assert b"emulated error" in fetched(s3, told["FailureLocation"])


def asked(url: str, **keys: Any) -> EndpointSpec:
    return EndpointSpec.model_validate({
        "name": "a", "protocol": "sagemaker", "endpoint_name": "e", "payload_format": "tgi", "region": "us-east-1",
        "url": url, "emulated": "x", **keys})


def one(spec: EndpointSpec) -> Any:
    endpoint, wire = build(spec), Http1Wire(Timeouts(total_s=20))
    return measure(endpoint, Prompt("p", "s", text="hi", output_tokens=4), wire, endpoint.addresses()[0],
                   request_id="r", worker="w", stage=0, scheduled_ns=0)


def test_motos_runtime_and_its_s3_take_what_is_sent() -> None:
    """moto answers every invocation at once, with a JSON of its own."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        clients(url)[1].create_bucket(Bucket="inputs")
        record, reading = one(asked(url, payload_format="template", template={"q": "$prompt"}, answer_path="default",
                                    asynchronous={"input": "s3://inputs/x", "poll": "20ms"}))
        assert (record.outcome, record.error, reading.said("answer")) == ("ok", None, "response")
        put = clients(url)[1].get_object(Bucket="inputs", Key="x/r")["Body"].read()
        assert json.loads(put) == {"q": "hi"}
        missing, _ = one(asked(url, asynchronous={"input": "s3://nowhere/x", "poll": "20ms"}))
        assert missing.outcome == "http_4xx" and "NoSuchBucket" in missing.error
    finally:
        server.stop()


@pytest.mark.alone
def test_every_answer_lies_between_the_looks_that_are_recorded(tmp_path: Path) -> None:
    ways: dict[str, dict[str, Any]] = {
        "inline": {}, "s3": {"asynchronous": {"input": "s3://inputs/p", "poll": "100ms"}},
        "vectors": {"payload_format": "tei_embed", "dimension": 384},
        "failing": {"headers": {"X-Emulator-Fault": "error:after=1"}}}
    with emulator(tmp_path, "--ttft", "150ms", "--gap", "10ms") as server:
        path = tmp_path / "run.yml"
        path.write_text(yaml.safe_dump({
            "name": "async", "endpoints": [
                asked(server.url, name=name, **{"asynchronous": {"poll": "100ms"}, **keys}).model_dump(
                    mode="json", by_alias=True, exclude_unset=True) for name, keys in ways.items()],
            "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 20, "output_tokens": 6, "count": 60}],
            "load": {"concurrency": [2], "ramp": 0, "warmup": 0, "window": "4s", "drain": "10s", "workers": 1,
                     "side_by_side": True}}))
        with fmload_run(tmp_path, path) as run:
            run.wait()
        told = {each.request_id: each for each in server.requests()}
    records = [record for record in run.records() if record.request_id in told]
    assert {record.endpoint for record in records} == set(ways), run.output()
    for record in records:
        if record.endpoint == "failing":
            assert record.outcome == "http_5xx" and "emulated error" in record.error
            continue
        made_ns, detail = told[record.request_id].headers_ns, json.loads(record.detail)
        assert (record.outcome, record.stamp, record.first_token_ns) == ("ok", "kernel", None)
        assert record.send_ns + detail["absent_until_ms"] * 1e6 - NEAR_NS <= made_ns <= record.last_token_ns + NEAR_NS
        if record.endpoint != "vectors":
            assert (record.output_tokens, record.input_tokens) == (6, told[record.request_id].input_tokens)
    rows = {row["endpoint"]: row for row in csv.DictReader(run.results.summary_csv.open())}
    assert not any(row["ttft_p50_s"] or row["tpot_p50_s"] for row in rows.values())
    assert float(rows["inline"]["e2e_p50_s"]) >= 0.15 and float(rows["inline"]["output_tokens_per_s"]) > 0
    assert float(rows["failing"]["error_rate"]) == 1
