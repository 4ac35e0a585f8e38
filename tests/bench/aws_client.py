"""One client process of the AWS benchmark: so many streams under gevent, and what they saw.

    python -m tests.bench.aws_client '{"client": "converse", "url": ..., "out": ..., ...}'

Clients: `sagemaker` and `converse` are this project's endpoints over its wire; with `boto3-` in front they are
unmodified boto3 clients, stamped as each event leaves boto3's EventStream.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402
import json  # noqa: E402
import random  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402
from uuid import uuid4  # noqa: E402

import gevent  # noqa: E402
import msgpack  # noqa: E402

from fmload.config.schema import EndpointSpec  # noqa: E402
from fmload.model.prompt import Prompt  # noqa: E402
from fmload.plugins import ENDPOINTS  # noqa: E402
from fmload.wire.http1 import Http1Wire  # noqa: E402
from fmload.worker.measure import measure  # noqa: E402

TEXT = "word " * 64
MODEL = "amazon.nova-lite-v1:0"


class Seen(NamedTuple):
    """One request: instants in ns of the monotonic clock."""

    request_id: str
    send_ns: int
    token_ns: list[int]
    censored: list[int]
    outcome: str


def ours(protocol: str, plan: dict[str, Any]) -> Callable[[], Seen]:
    """A function that makes one request as the product does."""
    spec = EndpointSpec.model_validate({"name": "bench", "protocol": protocol, "region": "us-east-1", "model": MODEL,
                                        "url": plan["url"], "ca_file": plan["ca_file"], "emulated": "steady"})
    endpoint, wire = ENDPOINTS.load(protocol).from_spec(spec), Http1Wire()
    address = endpoint.addresses()[0]
    wire.preconnect(address, plan["streams"])

    def ask() -> Seen:
        prompt = Prompt("p", "bench", text=TEXT, output_tokens=plan["tokens"])
        record, _ = measure(endpoint, prompt, wire, address, request_id=uuid4().hex, worker="w", stage=0,
                            scheduled_ns=0)
        return Seen(record.request_id, record.send_ns or 0, list(record.chunk_ns), list(record.chunk_censored),
                    record.outcome)
    return ask


def boto3_client(service: str, plan: dict[str, Any]) -> Any:
    """A client of its own making, but for its address and the size of its pool."""
    import boto3
    from botocore.config import Config

    return boto3.client(service, region_name="us-east-1", endpoint_url=plan["url"], verify=plan["ca_file"] or True,
                        aws_access_key_id="a", aws_secret_access_key="b",
                        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=plan["streams"]))


def boto3_converse(plan: dict[str, Any]) -> Callable[[], Seen]:
    """A function that streams one answer with boto3's converse_stream."""
    client = boto3_client("bedrock-runtime", plan)

    def ask() -> Seen:
        send_ns, token_ns = time.monotonic_ns(), []
        response = client.converse_stream(modelId=MODEL, messages=[{"role": "user", "content": [{"text": TEXT}]}],
                                          inferenceConfig={"maxTokens": plan["tokens"]})
        for event in response["stream"]:
            now_ns = time.monotonic_ns()
            if "contentBlockDelta" in event:
                token_ns.append(now_ns)
        return Seen("", send_ns, token_ns, [], "ok")
    return ask


def boto3_sagemaker(plan: dict[str, Any]) -> Callable[[], Seen]:
    """A function that streams one answer with boto3's invoke_endpoint_with_response_stream, and parses its lines."""
    client = boto3_client("sagemaker-runtime", plan)
    body = json.dumps({"messages": [{"role": "user", "content": TEXT}], "max_tokens": plan["tokens"], "stream": True})

    def ask() -> Seen:
        send_ns, token_ns = time.monotonic_ns(), []
        response = client.invoke_endpoint_with_response_stream(EndpointName="e", Body=body,
                                                               ContentType="application/json")
        for event in response["Body"]:
            now_ns = time.monotonic_ns()
            lines = event["PayloadPart"]["Bytes"].split(b"\n")
            token_ns += [now_ns for line in lines if line.startswith(b"data: {") and _has_content(json.loads(line[6:]))]
        return Seen("", send_ns, token_ns, [], "ok")
    return ask


def _has_content(event: dict[str, Any]) -> bool:
    return any(choice["delta"].get("content") for choice in event["choices"])


CLIENTS: dict[str, Callable[[dict[str, Any]], Callable[[], Seen]]] = {
    "sagemaker": lambda plan: ours("sagemaker", plan), "converse": lambda plan: ours("bedrock", plan),
    "boto3-sagemaker": boto3_sagemaker, "boto3-converse": boto3_converse,
}


def hold_the_loop(block_s: float, pause_s: float) -> None:
    """Hold the event loop in blocks, for ever, as a greenlet that computes would."""
    while True:
        end_ns = time.monotonic_ns() + round(block_s * 1e9)
        while time.monotonic_ns() < end_ns:
            pass
        gevent.sleep(pause_s * random.uniform(0.5, 1.5))


def main() -> None:
    """Stream for `seconds` after a start of `cycle_s`, over which the streams are spread."""
    plan = json.loads(sys.argv[1])
    ask = CLIENTS[plan["client"]](plan)
    seen: list[Seen] = []
    end_ns = time.monotonic_ns() + round((plan["cycle_s"] + plan["seconds"]) * 1e9)

    def stream() -> None:
        gevent.sleep(random.uniform(0, plan["cycle_s"]))
        while time.monotonic_ns() < end_ns:
            seen.append(ask())
    gc.collect()
    gc.freeze()  # what is imported stays; a full collection of it would stall the loop
    streams = [gevent.spawn(stream) for _ in range(plan["streams"])]
    gevent.sleep(plan["cycle_s"])
    if plan["block_s"]:
        gevent.spawn(hold_the_loop, plan["block_s"], plan["pause_s"])
    start_ns, start_cpu_ns = time.monotonic_ns(), time.process_time_ns()
    gevent.sleep(plan["seconds"])
    stop_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns() - start_cpu_ns
    gevent.joinall(streams, timeout=60, raise_error=True)
    Path(plan["out"]).write_bytes(msgpack.packb(
        {"seen": seen, "start_ns": start_ns, "stop_ns": stop_ns, "cpu_ns": cpu_ns}))


if __name__ == "__main__":
    main()
