"""SageMaker's asynchronous endpoints: what goes where, when an answer is known to have come, and how waiting ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.session import get_session
from gevent import GreenletExit
from pydantic import ValidationError

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.endpoints.sagemaker import SageMaker
from fmload.endpoints.sagemaker_async import AsyncEndpoint
from fmload.model.outcome import Failure
from fmload.model.prompt import Prompt
from fmload.wire.exchange import Address, CarriesToken, Exchange, HttpRequest, ReadMark, Timeouts
from fmload.worker import measure

pytestmark = pytest.mark.usefixtures("aws_environment")
SECOND, STEP_NS = 1_000_000_000, 10_000_000  # each exchange takes 10 ms of the wire's clock
PLACES = {"x-amzn-sagemaker-outputlocation": "s3://out/a/1.out", "x-amzn-sagemaker-failurelocation": "s3://bad/1.out"}
ANSWER = json.dumps([{"generated_text": "all of it", "details": {
    "finish_reason": "length", "generated_tokens": 3, "input_length": 2}}]).encode()
ABSENT = (404, b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>")
PROMPT = Prompt("p", "s", text="Why?", output_tokens=3)
Reply = tuple[int, bytes] | Failure | BaseException


class ScriptedWire:
    """Answers by a function of the request and its number, and has a clock of its own."""

    def __init__(self, reply: Callable[[HttpRequest, int], Reply], total_s: float = 60.0) -> None:
        self.timeouts = Timeouts(total_s=total_s)
        self.sent: list[tuple[Address, HttpRequest]] = []
        self.pauses: list[float] = []
        self.now_ns = 5 * SECOND
        self._reply = reply

    def exchange(self, address: Address, request: HttpRequest, carries_token: CarriesToken) -> Exchange:
        self.sent.append((address, request))
        send_ns, self.now_ns = self.now_ns, self.now_ns + STEP_NS
        told = self._reply(request, len(self.sent) - 1)
        if isinstance(told, BaseException):
            raise told
        if isinstance(told, Failure):
            return Exchange(str(address), send_ns, end_ns=self.now_ns, failure=told)
        status, body = told
        return Exchange(str(address), send_ns, headers_ns=self.now_ns, end_ns=self.now_ns, status=status,
                        headers=dict(PLACES) if status == 202 else {}, body=body, complete=True,
                        marks=[ReadMark(len(body), self.now_ns, 0, True)])

    def partial(self) -> Exchange | None:
        return None

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_ns += round(seconds * SECOND)

    @property
    def targets(self) -> list[str]:
        return [f"{request.method} {address.host}{request.target}" for address, request in self.sent]


def make(**keys: Any) -> AsyncEndpoint:
    asked = {"poll": "500ms", **keys.pop("asynchronous", {})}
    made = SageMaker.from_spec(EndpointSpec.model_validate({
        "name": "sm", "protocol": "sagemaker", "endpoint_name": "llama", "payload_format": "tgi",
        "region": "us-east-1", "asynchronous": asked, **keys}))
    assert isinstance(made, AsyncEndpoint)
    return made


def there_at(look: int, answer: bytes = ANSWER) -> Callable[[HttpRequest, int], Reply]:
    """Accepted, and the answer is there at the look of this number, from 1."""
    def reply(request: HttpRequest, number: int) -> Reply:
        if request.method == "POST":
            return 202, b'{"InferenceId":"i"}'
        if request.method == "PUT":
            return 200, b""
        looks.append(request.target.removeprefix("/out"))
        return (200, answer) if looks.count("/a/1.out") == look and request.target.endswith("/a/1.out") else ABSENT
    looks: list[str] = []
    return reply


def measured(endpoint: AsyncEndpoint, wire: ScriptedWire, prompt: Prompt = PROMPT) -> Any:
    return measure.measure(endpoint, prompt, wire, endpoint.addresses()[0], request_id="r-1", worker="w", stage=0,
                           scheduled_ns=wire.now_ns)[0]


def refused_by_model(request: HttpRequest) -> None:
    """botocore's own model of the service judges the headers of an accepted request."""
    shape = get_session().get_service_model("sagemaker-runtime").operation_model("InvokeEndpointAsync").input_shape
    known = {name.lower() for member in shape.members.values() if (name := member.serialization.get("name"))}
    own = {name.lower() for name in request.headers if name.lower().startswith("x-amzn-sagemaker-")}
    assert own <= known


def test_a_small_input_goes_in_the_request_and_the_answer_is_looked_for_where_the_service_says() -> None:
    wire = ScriptedWire(there_at(3))
    record = measured(make(), wire)
    assert wire.targets == ["POST runtime.sagemaker.us-east-1.amazonaws.com/endpoints/llama/async-invocations",
                            *["GET out.s3.amazonaws.com/a/1.out"] * 3]
    request = wire.sent[0][1]
    assert json.loads(request.body) == {"inputs": "Why?", "parameters": {"max_new_tokens": 3, "details": True}}
    assert request.headers["X-Amzn-SageMaker-Content-Type"] == "application/json"
    assert request.headers["X-Request-Id"] == "r-1"
    refused_by_model(request)
    assert (record.outcome, record.error, record.output_tokens, record.input_tokens) == ("ok", None, 3, 2)


def test_latency_is_to_the_answer_and_it_is_told_until_when_it_was_not_there() -> None:
    wire = ScriptedWire(there_at(3))
    record = measured(make(), wire)
    # accepted at 10 ms; looks are sent at 510, 1020 and 1530 ms, and take 10 ms each
    assert (record.last_token_ns - record.send_ns) / 1e6 == pytest.approx(1540)
    assert record.headers_ns - record.send_ns == STEP_NS
    assert json.loads(record.detail) == {"accepted_ms": 10, "looks": 3, "absent_until_ms": 1020}
    assert wire.pauses == [0.5, 0.5, 0.5]
    assert record.streamed is False and record.first_token_ns is None and record.first_answer_ns is None


def test_an_answer_that_the_first_look_finds_may_have_been_there_all_along() -> None:
    record = measured(make(), ScriptedWire(there_at(1)))
    assert json.loads(record.detail)["absent_until_ms"] == 0


def test_an_input_in_s3_is_put_there_before_the_request_and_named_in_it() -> None:
    wire = ScriptedWire(there_at(1))
    asked = {"input": "s3://inputs/put/", "queue_timeout": "5m", "invocation_timeout": "90s"}
    record = measured(make(asynchronous=asked, inference_id=True), wire)
    assert wire.targets[0] == "PUT inputs.s3.amazonaws.com/put/r-1"
    assert json.loads(wire.sent[0][1].body)["inputs"] == "Why?"
    request = wire.sent[1][1]
    assert request.body == b""
    told = {name.lower().removeprefix("x-amzn-sagemaker-"): value for name, value in request.headers.items()}
    assert (told["inputlocation"], told["requestttlseconds"], told["invocationtimeoutseconds"],
            told["inference-id"]) == ("s3://inputs/put/r-1", "300", "90", "r-1")
    refused_by_model(request)
    assert record.send_ns == 5 * SECOND + STEP_NS  # the clock begins when the input lies there
    assert json.loads(record.detail)["upload_ms"] == 10


def test_what_s3_does_not_take_is_told_with_the_place_and_its_words() -> None:
    denied = (403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
    record = measured(make(asynchronous={"input": "s3://inputs/put"}), ScriptedWire(lambda *_: denied))
    assert (record.outcome, record.error) == ("http_4xx", "s3://inputs/put/r-1: AccessDenied: Access Denied")


def test_who_may_not_list_is_told_what_is_missing_and_does_not_wait() -> None:
    def reply(request: HttpRequest, number: int) -> Reply:
        return (202, b"{}") if number == 0 else (403, b"<Error><Code>AccessDenied</Code></Error>")
    wire = ScriptedWire(reply)
    record = measured(make(), wire)
    assert record.outcome == "http_4xx" and len(wire.sent) == 2
    assert "s3://out/a/1.out: AccessDenied" in record.error and "s3:ListBucket" in record.error


def test_a_failure_is_found_where_the_service_puts_it_with_the_models_own_status() -> None:
    def reply(request: HttpRequest, number: int) -> Reply:
        if number == 0:
            return 202, b"{}"
        told = b'{"Message":"out of memory","OriginalStatusCode":507}'
        return (200, told) if request.target == "/1.out" else ABSENT
    record = measured(make(), ScriptedWire(reply))
    assert (record.outcome, record.error) == ("http_5xx", "the endpoint failed the request: out of memory")
    assert record.last_token_ns is None and record.output_tokens is None


def test_an_answer_that_never_comes_ends_at_the_limit_of_the_run() -> None:
    wire = ScriptedWire(there_at(10**6), total_s=3)
    record = measured(make(), wire)
    assert (record.outcome, record.error) == ("timeout_total", "no answer at s3://out/a/1.out within 3 s")
    assert record.end_ns - record.send_ns >= 3 * SECOND and wire.pauses[-1] < 0.5


def test_a_look_that_fails_is_made_again_and_told_where_nothing_else_comes() -> None:
    def reply(request: HttpRequest, number: int) -> Reply:
        if number == 0:
            return 202, b"{}"
        return Failure("connect", "cannot connect") if number < 3 else (200, ANSWER)
    record = measured(make(), ScriptedWire(reply))
    assert record.outcome == "ok" and json.loads(record.detail)["absent_until_ms"] == 0
    lasting = measured(make(), ScriptedWire(
        lambda request, number: Failure("connect", "cannot connect") if number else (202, b"{}"), total_s=2))
    assert lasting.outcome == "timeout_total" and "cannot connect" in lasting.error


def test_a_refused_request_is_looked_for_nowhere() -> None:
    wire = ScriptedWire(lambda *_: (400, b'{"Message":"Endpoint llama is not an async endpoint"}'))
    record = measured(make(), wire)
    assert (record.outcome, len(wire.sent)) == ("http_4xx", 1) and "not an async endpoint" in record.error


def test_a_user_that_is_stopped_while_it_waits_leaves_a_record() -> None:
    record = measured(make(), ScriptedWire(lambda request, number: GreenletExit() if number else (202, b"{}")))
    assert record.outcome == "cancelled" and record.send_ns == 5 * SECOND and record.status == 202


def test_an_answer_without_a_place_is_told() -> None:
    record = measured(make(), ScriptedWire(lambda *_: (200, b"{}")))
    assert record.outcome == "decode" and "OutputLocation" in record.error


def test_vectors_are_measured_by_the_same_way() -> None:
    vectors = json.dumps([[0.5, 1.5], [2.5, 3.5]]).encode()
    prompt = Prompt("p", "s", inputs=["a", "b"])
    record = measured(make(payload_format="tei_embed", dimension=2), ScriptedWire(there_at(1, vectors)), prompt)
    assert (record.outcome, record.inputs, record.first_token_ns) == ("ok", 2, None)
    short = measured(make(payload_format="tei_embed", dimension=3), ScriptedWire(there_at(1, vectors)), prompt)
    assert short.outcome == "decode"


def test_an_input_that_is_too_long_for_a_request_is_told_before_the_load() -> None:
    long = Prompt("p", "set", text="x" * 128_001)
    with pytest.raises(FmloadError, match=r"'set', endpoint 'sm': an input of 128,\d+ bytes.*\nhint: .*s3://bucket"):
        make().check(long)
    make(asynchronous={"input": "s3://inputs"}).check(long)
    make().check(PROMPT)


@pytest.mark.parametrize("keys", [{"target_variant": "v"}, {"target_model": "m.tar.gz"}, {"session_id": "s"},
                                  {"inference_component": "c"}, {"sticky_sessions": True}, {"prefix_aware_id": "x"}])
def test_keys_of_endpoints_that_answer_at_once_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="nothing that an asynchronous endpoint takes"):
        make(**keys)


def test_its_answers_come_whole_and_a_stream_is_refused() -> None:
    assert make()._spec.stream is False
    with pytest.raises(ValidationError, match="whole answers only"):
        make(stream=True)


@pytest.mark.parametrize("asked", [{"input": "in/put"}, {"poll": "1ms"}, {"queue_timeout": "10s"},
                                   {"invocation_timeout": "2h"}, {"every": "1s"}])
def test_what_the_service_would_not_take_is_refused_in_the_run_file(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make(asynchronous=asked)


def test_an_emulated_one_is_asked_for_objects_at_its_own_address() -> None:
    wire = ScriptedWire(there_at(1))
    measured(make(emulated="steady", url="http://127.0.0.1:5700", asynchronous={"input": "s3://inputs"}), wire)
    assert [str(address) for address, _ in wire.sent] == ["http://127.0.0.1:5700"] * 3
    assert wire.sent[0][1].target == "/inputs/r-1"
