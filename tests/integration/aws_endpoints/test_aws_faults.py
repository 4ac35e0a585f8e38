"""Every fault ends as its outcome, with a message that a person can read, and never as a fast success."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fmload.config.schema import EndpointSpec
from fmload.endpoints.base import Endpoint
from fmload.model.outcome import Outcome
from fmload.model.prompt import Prompt
from fmload.model.record import Record
from fmload.plugins import ENDPOINTS
from fmload.wire.exchange import Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import measure

Server = dict[str, Any]
TOKENS = 6
TIMEOUTS = Timeouts(connect_s=5, first_token_s=1, idle_s=1, total_s=10)
PLANES: dict[str, dict[str, Any]] = {
    "sagemaker": {"protocol": "sagemaker", "payload_format": "openai"},
    "converse": {"protocol": "bedrock", "model": "amazon.nova-lite-v1:0"},
    "invoke": {"protocol": "bedrock", "api": "invoke", "model": "meta.llama3-1-8b-instruct-v1:0"},
}
# What the emulator is told, the outcome, what the message says, and the tokens that came before.
FAULTS: list[tuple[str, Outcome, str, int]] = [
    ("ThrottlingException", "throttled", "ThrottlingException", 0),
    ("429", "throttled", "ThrottlingException", 0),
    ("ModelNotReadyException", "throttled", "ModelNotReadyException", 0),
    ("400", "http_4xx", "Validation", 0),
    ("AccessDeniedException", "http_4xx", "AccessDenied", 0),
    ("ExpiredTokenException", "http_4xx", "ExpiredToken", 0),
    ("500", "http_5xx", "emulated", 0),
    ("503", "http_5xx", "ServiceUnavailable", 0),
    ("503:html=1", "http_5xx", "HTTP 503: 503", 0),
    ("status:code=403,html=1", "http_4xx", "HTTP 403: 403", 0),
    ("ThrottlingException:after=3", "throttled", "hrottlingException", 3),
    ("error:after=3", "stream_error", "odelStreamError", 3),
    ("error:after=3,how=error", "stream_error", "InternalError", 3),
    ("cut:after=3", "truncated", "", 3),
    ("cut:after=3,how=fin", "truncated", "", 3),
    ("cut:after=3,how=fin,mid=1", "truncated", "", 3),
    ("truncate:after=3", "truncated", "without", 3),
    ("garbage:after=3", "decode", "", 3),
    ("empty", "empty", "no token", 0),
    ("stall:after=3,seconds=4", "timeout_idle", "", 3),
    ("never", "timeout_first_token", "", 0),
]


@pytest.fixture(scope="module")
def server(start: Callable[..., Server]) -> Server:
    """One emulator; its n-th request meets the n-th fault, over and over for every plane."""
    count = len(FAULTS)
    numbers = [[plane * count + index for plane in range(len(PLANES))] for index in range(count)]
    options = [part for (fault, *_), at in zip(FAULTS, numbers, strict=True) for part in (
        "--fault", f"{fault}{',' if ':' in fault else ':'}at={'+'.join(map(str, at))}")]
    return start("--ttft", "10ms", "--gap", "5ms", *options)


@pytest.fixture(scope="module")
def records(server: Server) -> dict[tuple[str, str], Record]:
    """The record of every plane's request for every fault."""
    found: dict[tuple[str, str], Record] = {}
    for plane, keys in PLANES.items():
        endpoint = make(server["url"], **keys)
        for fault, *_ in FAULTS:
            found[plane, fault] = ask(endpoint)
    return found


def make(url: str, **keys: Any) -> Endpoint:
    spec = EndpointSpec.model_validate({"name": "x", "region": "us-east-1", "url": url, "emulated": "steady", **keys})
    endpoint: Endpoint = ENDPOINTS.load(spec.protocol).from_spec(spec)
    return endpoint


def ask(endpoint: Endpoint) -> Record:
    wire = Http1Wire(TIMEOUTS)
    prompt = Prompt("p", "set", text="A secret question", output_tokens=TOKENS)
    try:
        return measure(endpoint, prompt, wire, endpoint.addresses()[0], request_id="r", worker="w", stage=0,
                       scheduled_ns=0)[0]
    finally:
        wire.close()


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize(("fault", "outcome", "message", "tokens"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_every_fault_ends_as_its_outcome(records: dict[tuple[str, str], Record], plane: str, fault: str,
                                         outcome: Outcome, message: str, tokens: int) -> None:
    record = records[plane, fault]
    assert record.outcome == outcome, record.error
    assert record.error and message in record.error
    assert "secret" not in record.error
    assert len(record.chunk_ns) == tokens


def test_nobody_listening_is_a_connect_failure() -> None:
    record = ask(make("http://127.0.0.1:1", **PLANES["converse"]))
    assert record.outcome == "connect" and "127.0.0.1:1" in (record.error or "")


def test_a_certificate_that_nobody_vouches_for_is_a_tls_failure(start: Callable[..., Server]) -> None:
    record = ask(make(start("--tls")["url"], **PLANES["converse"]))
    assert record.outcome == "tls" and "certificate" in (record.error or "")


def test_slow_headers_are_no_failure(start: Callable[..., Server]) -> None:
    slow = start("--ttft", "10ms", "--gap", "5ms", "--fault", "slow_headers:seconds=0.3")
    record = ask(make(slow["url"], **PLANES["sagemaker"]))
    assert record.outcome == "ok"
    assert (record.headers_ns or 0) - (record.send_ns or 0) > 250_000_000


def test_a_share_of_requests_can_be_struck(start: Callable[..., Server]) -> None:
    struck = start("--ttft", "1ms", "--gap", "1ms", "--fault", "ThrottlingException:share=0.5", "--seed", "3")
    endpoint = make(struck["url"], **PLANES["converse"])
    outcomes = {ask(endpoint).outcome for _ in range(20)}
    assert outcomes == {"ok", "throttled"}
