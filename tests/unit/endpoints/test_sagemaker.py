"""SageMaker: what each container is sent, what its lines say and when they were complete, how failures end."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.endpoints.sagemaker import SageMaker
from fmload.endpoints.sagemaker_images import format_of_image
from fmload.model.outcome import Failure, Outcome
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Address, CarriesToken, Exchange, HttpRequest
from fmload.worker.cancellation import Enough
from tests.aws_frames import error, event, exception


class RecordingWire:
    """Keeps the request and answers with nothing."""

    def __init__(self) -> None:
        self.requests: list[tuple[Address, HttpRequest]] = []

    def exchange(self, address: Address, request: HttpRequest, carries_token: CarriesToken) -> Exchange:
        self.requests.append((address, request))
        return Exchange(str(address), status=200, complete=True)


pytestmark = pytest.mark.usefixtures("aws_environment")


def make(**keys: Any) -> SageMaker:
    defaults = {"name": "sm", "protocol": "sagemaker", "endpoint_name": "llama", "payload_format": "openai",
                "region": "us-east-1"}
    return SageMaker.from_spec(EndpointSpec.model_validate({**defaults, **keys}))


def sent(endpoint: SageMaker, prompt: Prompt) -> HttpRequest:
    wire = RecordingWire()
    endpoint.send(prompt, "request-1", wire, endpoint.addresses()[0])
    return wire.requests[0][1]


def read(body: bytes, complete: bool = True, failure: Failure | None = None, endpoint: SageMaker | None = None,
         **headers: str) -> Reading:
    exchange = Exchange("https://h:443", status=200, headers=headers, body=body, complete=complete, failure=failure)
    return (endpoint or MADE["streamed"]).read(exchange)


@pytest.fixture(autouse=True)
def _made_once(aws_environment: None) -> None:
    if not MADE:
        MADE.update(streamed=make(), whole=make(stream=False))


MADE: dict[str, SageMaker] = {}
PROMPT = Prompt("p1", "set", text="Why?", output_tokens=7)


# ---- requests


def test_a_streamed_request_is_signed_and_carries_the_request_id() -> None:
    request = sent(make(target_variant="blue", inference_component="part", session_id="s1", custom_attributes="c=1",
                        prefix_aware_id="p1", inference_id=True,
                        headers={"X-Team": "load"}), PROMPT)
    assert request.target == "/endpoints/llama/invocations-response-stream"
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["host"] == "runtime.sagemaker.us-east-1.amazonaws.com"
    assert headers["x-amzn-sagemaker-target-variant"] == "blue"
    assert headers["x-amzn-sagemaker-inference-component"] == "part"
    assert headers["x-amzn-sagemaker-session-id"] == "s1"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "c=1"
    assert headers["x-amzn-sagemaker-prefix-aware-id"] == "p1"
    assert headers["x-amzn-sagemaker-inference-id"] == "request-1"
    assert headers["x-request-id"] == "request-1"
    scope = headers["authorization"]
    assert scope.startswith("AWS4-HMAC-SHA256") and "/us-east-1/sagemaker/aws4_request" in scope
    assert "x-team" in scope and "x-request-id" not in scope  # a proxy may rewrite the id
    assert "hidden-secret" not in str(request)


def test_the_request_id_header_can_be_switched_off() -> None:
    assert "X-Request-Id" not in sent(make(request_id_header=None), PROMPT).headers


def test_an_unstreamed_request_is_invoke_endpoint() -> None:
    request = sent(make(stream=False), PROMPT)
    assert request.target == "/endpoints/llama/invocations"
    assert "stream" not in json.loads(request.body)


def test_a_model_of_a_multi_model_endpoint_is_named_in_requests_that_are_answered_whole() -> None:
    headers = {name.lower(): value for name, value in sent(
        make(stream=False, target_model="llama.tar.gz", target_container_hostname="c1"), PROMPT).headers.items()}
    assert headers["x-amzn-sagemaker-target-model"] == "llama.tar.gz"
    assert headers["x-amzn-sagemaker-target-container-hostname"] == "c1"


def test_a_stream_of_a_multi_model_endpoint_is_refused_with_the_remedy() -> None:
    with pytest.raises(FmloadError, match=r"has no TargetModel\nhint: .*stream: false"):
        make(target_model="llama.tar.gz")
    with pytest.raises(ValidationError, match="no inference components"):
        make(stream=False, target_model="llama.tar.gz", inference_component="c")


def test_an_emulated_endpoint_is_signed_for_with_placeholders_whatever_the_credentials() -> None:
    endpoint = make(emulated="llama3-8b", url="http://127.0.0.1:5700")
    assert endpoint.addresses() == [Address("127.0.0.1", 5700)]
    request = sent(endpoint, PROMPT)
    assert request.headers["Host"] == "127.0.0.1:5700"
    assert "Credential=emulated/" in request.headers["Authorization"]


def test_the_service_is_reached_over_tls_and_further_urls_are_addresses_too() -> None:
    assert make().addresses() == [Address("runtime.sagemaker.us-east-1.amazonaws.com", 443, tls=True)]
    two = make(urls=["https://a.example", "https://b.example:8443"], ca_file="ca.pem")
    assert two.addresses() == [Address("a.example", 443, True, "ca.pem"), Address("b.example", 8443, True, "ca.pem")]


MESSAGES = [{"role": "user", "content": "Why?"}]


@pytest.mark.parametrize(("payload_format", "expected"), [
    ("openai", {"messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}, "temperature": 0.1,
                "max_tokens": 7}),
    ("tgi", {"inputs": "Why?", "parameters": {"temperature": 0.1, "max_new_tokens": 7, "details": True},
             "stream": True}),
    ("djl", {"inputs": "Why?", "parameters": {"temperature": 0.1, "max_new_tokens": 7, "details": True},
             "stream": True}),
    ("jumpstart", {"inputs": "Why?", "parameters": {"temperature": 0.1, "max_new_tokens": 7}, "stream": True}),
    ("template", {"dialog": [MESSAGES], "limit": 7, "text": "Why?", "go": True, "fixed": 3}),
])
def test_each_format_has_its_body(payload_format: str, expected: dict[str, Any]) -> None:
    keys: dict[str, Any] = {"payload_format": payload_format, "parameters": {"temperature": 0.1}, "model": "llama-3"}
    if payload_format == "template":
        keys["template"] = {"dialog": ["$messages"], "limit": "$max_tokens", "text": "$prompt", "go": "$stream",
                            "fixed": 3}
    assert json.loads(sent(make(**keys), PROMPT).body) == expected


def test_max_tokens_is_renamed_for_containers_that_call_it_max_new_tokens() -> None:
    prompt = Prompt("p", "s", text="x", parameters={"max_tokens": 5})
    assert json.loads(sent(make(payload_format="tgi"), prompt).body)["parameters"]["max_new_tokens"] == 5


@pytest.mark.parametrize(("image", "expected"), [
    ("763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.38.0-lmi29.0.0-cu130", "djl"),
    ("763104351884.dkr.ecr.us-east-1.amazonaws.com/vllm:0.30.0-gpu-py312-cu130-ubuntu24.04-sagemaker", "openai"),
    ("763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-vllm-inference-neuronx:0.11.0", "openai"),
    ("763104351884.dkr.ecr.us-east-1.amazonaws.com/sglang:server-sagemaker-cuda-v1", "openai"),
    ("763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.7.0-tgi3.3.6", "tgi"),
    ("123456789012.dkr.ecr.us-east-1.amazonaws.com/my-own:1", None),
])
def test_the_format_is_told_from_the_image(image: str, expected: str | None) -> None:
    assert format_of_image(image) == expected


# ---- what cannot be used is said before the load


def test_no_region_is_an_error_that_names_the_remedy() -> None:
    with pytest.raises(FmloadError, match=r"'sm': no AWS region\nhint: .*AWS_REGION"):
        make(region=None)


@pytest.mark.parametrize("keys", [{"payload_format": "template"}, {"template": {"q": "$prompt"}}])
def test_a_template_and_its_format_go_together(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="go together"):
        make(**keys)


def test_no_credentials_is_an_error_before_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    with pytest.raises(FmloadError, match="'sm': no AWS credentials"):
        make()


def test_an_unknown_profile_is_an_error_before_the_load() -> None:
    with pytest.raises(FmloadError, match="nobody"):
        make(profile="nobody")


def test_credentials_that_fail_later_end_the_request_unsent() -> None:
    from botocore.exceptions import CredentialRetrievalError

    endpoint = make()

    def expired(**_: Any) -> None:
        raise CredentialRetrievalError(provider="sso", error_msg="the session has expired")
    endpoint._client.meta.events.register("before-sign", expired)
    exchange = endpoint.send(PROMPT, "r", RecordingWire(), endpoint.addresses()[0])
    assert exchange.failure and exchange.failure.outcome == "connect"
    assert "no request was sent" in exchange.failure.message and "expired" in exchange.failure.message
    assert exchange.send_ns is None


# ---- streams


def openai_line(**delta: Any) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": None}]}).encode() + b"\n\n"


OPENAI = (openai_line(role="assistant", content="") + openai_line(reasoning_content="Hm") + openai_line(content="A")
          + openai_line(content="B")
          + b'data: {"choices":[{"delta":{"content":""},"finish_reason":"length"}]}\n\n'
          + b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,'
          + b'"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":1}}}\n\n'
          + b"data: [DONE]\n\n")
TGI = (b'data:{"index":1,"token":{"id":1,"text":"A","special":false},"generated_text":null,"details":null}\n\n'
       b'data:{"index":2,"token":{"id":2,"text":"","special":false},"generated_text":null,"details":null}\n\n'
       b'data:{"index":3,"token":{"id":9,"text":"</s>","special":true},"generated_text":"A",'
       b'"details":{"finish_reason":"eos_token","generated_tokens":3,"input_length":5}}\n\n')
DJL = (b'{"token": {"id": 1, "text": "A", "log_prob": -0.1}}\n'
       b'{"token": [{"id": 2, "text": "B"}, {"id": 3, "text": "C"}]}\n'
       b'{"token": {"id": 4, "text": "D"}, "generated_text": "ABCD", '
       b'"details": {"finish_reason": "length", "generated_tokens": 4, "inputs": "Why?"}}\n')


def test_the_tokens_of_a_stream_that_goes_on_can_be_counted() -> None:
    enough, part = Enough(MADE["streamed"], 3), event("PayloadPart", openai_line(content="A"))
    assert [enough(len(body), partial(bytes, body)) for body in (part, part * 2, part * 3)] == [False, False, True]


def test_an_openai_stream_is_read_with_its_channels_and_usage() -> None:
    reading = read(event("PayloadPart", OPENAI))
    assert [(chunk.channel, chunk.text) for chunk in reading.chunks] == [
        ("reasoning", "Hm"), ("answer", "A"), ("answer", "B")]
    assert (reading.input_tokens, reading.output_tokens) == (5, 3)
    assert (reading.cached_tokens, reading.reasoning_tokens) == (2, 1)
    assert (reading.finish_reason, reading.tokens_source, reading.failure) == ("length", "server", None)


def test_every_token_line_of_tgi_is_a_chunk_even_without_text() -> None:
    reading = read(event("PayloadPart", TGI))
    assert [chunk.text for chunk in reading.chunks] == ["A", "", ""]
    assert (reading.input_tokens, reading.output_tokens, reading.finish_reason) == (5, 3, "eos_token")


def test_a_djl_line_may_hold_several_tokens() -> None:
    reading = read(event("PayloadPart", DJL))
    assert [(chunk.text, chunk.tokens) for chunk in reading.chunks] == [("A", 1), ("BC", 2), ("D", 1)]
    assert (reading.output_tokens, reading.finish_reason, reading.failure) == (4, "length", None)


@pytest.mark.parametrize("body", [b'{"outputs": [" a"]}\n{"outputs": [" b"]}\n', b'{"generated_text": "a"}\n',
                                  b'[{"generation": {"role": "assistant", "content": "a"}}]',
                                  b'{"generated_texts": ["a"]}'])
def test_jumpstart_and_older_forms_need_no_end_mark(body: bytes) -> None:
    reading = read(event("PayloadPart", body))
    assert reading.chunks and reading.failure is None


@given(st.sampled_from([OPENAI, TGI, DJL]), st.data())
def test_lines_are_complete_at_the_part_that_completed_them_wherever_parts_end(
        stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    body, ends, total = b"", [], 0
    for part in parts:
        body += event("PayloadPart", part)
        total += len(part)
        ends.append((total, len(body)))
    whole = read(event("PayloadPart", stream))
    cut = read(body)
    assert [(c.text, c.channel, c.tokens) for c in cut.chunks] == [(c.text, c.channel, c.tokens) for c in whole.chunks]
    assert (cut.output_tokens, cut.finish_reason, cut.failure) == (whole.output_tokens, whole.finish_reason, None)
    lines = [end for end in range(1, len(stream) + 1) if stream[end - 1:end] == b"\n"]
    possible = {next(body_end for text_end, body_end in ends if text_end >= line) for line in lines}
    assert {chunk.end for chunk in cut.chunks} <= possible


def test_a_last_line_without_newline_is_read() -> None:
    assert read(event("PayloadPart", DJL.rstrip())).finish_reason == "length"


def test_crlf_comments_and_event_names_are_no_tokens() -> None:
    stream = b": ping\r\n\r\nevent: delta\r\nid: 7\r\nretry: 10\r\n" + OPENAI.replace(b"\n", b"\r\n")
    assert len(read(event("PayloadPart", stream)).chunks) == 3


def test_unknown_events_and_further_keys_are_ignored() -> None:
    body = event("Heartbeat", b"x") + event("PayloadPart", OPENAI)
    assert read(body).failure is None


def test_a_template_says_where_the_text_stands() -> None:
    endpoint = make(payload_format="template", template={"q": "$prompt"}, answer_path="results.0.text")
    lines = [b'{"results": [{"text": "a"}]}\n', b'{"results": [{"text": "b"}]}']
    reading = read(b"".join(event("PayloadPart", line) for line in lines), endpoint=endpoint)
    assert [chunk.text for chunk in reading.chunks] == ["a", "b"] and reading.failure is None


def test_bare_text_is_a_chunk_a_part() -> None:
    endpoint = make(payload_format="template", template={"q": "$prompt"}, answer_path="$")
    reading = read(event("PayloadPart", b"Hel") + event("PayloadPart", b"lo\n"), endpoint=endpoint)
    assert [chunk.text for chunk in reading.chunks] == ["Hel", "lo\n"] and reading.failure is None


def test_the_request_id_and_the_variant_are_kept() -> None:
    headers = {"x-amzn-requestid": "r-1", "x-amzn-invoked-production-variant": "A"}
    reading = read(event("PayloadPart", OPENAI), **headers)
    assert reading.detail == {"request_id": "r-1", "variant": "A"}


def test_a_token_is_seen_in_a_partial_body() -> None:
    first = event("PayloadPart", openai_line(role="assistant", content=""))
    second = event("PayloadPart", openai_line(content="A"))
    assert not MADE["streamed"].carries_token(first + second[:-1])
    assert MADE["streamed"].carries_token(first + second)


# ---- not streamed


@pytest.mark.parametrize(("body", "text", "tokens"), [
    ({"choices": [{"message": {"content": "AB"}, "finish_reason": "stop"}],
      "usage": {"prompt_tokens": 5, "completion_tokens": 2}}, "AB", 2),
    ([{"generated_text": "AB", "details": {"finish_reason": "length", "generated_tokens": 2}}], "AB", 2),
    ({"generated_text": "AB"}, "AB", None),
    ([{"generation": "AB"}], "AB", None),
])
def test_a_whole_answer_is_one_chunk_at_its_end(body: Any, text: str, tokens: int | None) -> None:
    raw = json.dumps(body, indent=1).encode()
    reading = read(raw, endpoint=MADE["whole"])
    assert [(chunk.text, chunk.end) for chunk in reading.chunks] == [(text, len(raw))]
    assert (reading.output_tokens, reading.failure) == (tokens, None)


# ---- failures inside a stream


def test_an_end_mark_is_the_end_of_a_container_that_tells_no_finish_reason() -> None:
    reading = read(PART + event("PayloadPart", b"data: [DONE]\n\n"))
    assert (reading.failure, reading.finish_reason, len(reading.chunks)) == (None, None, 1)


PART = event("PayloadPart", openai_line(content="A"))


@pytest.mark.parametrize(("body", "complete", "outcome", "message"), [
    (PART + exception("ModelStreamError", {"Message": "slow", "ErrorCode": "ModelInvocationTimeExceeded"}), True,
     "stream_error", "ModelStreamError: slow (originally ModelInvocationTimeExceeded)"),
    (PART + exception("InternalStreamFailure", {"Message": "oops"}), True, "stream_error",
     "InternalStreamFailure: oops"),
    (PART + exception("ThrottlingException", {"message": "slower"}), True, "throttled", "ThrottlingException: slower"),
    (PART + error("InternalError", "boom"), True, "stream_error", "InternalError: boom"),
    (PART + PART[:-3], False, "truncated", "inside a frame"),
    (PART + PART[:-3], True, "truncated", "inside a frame"),
    (PART, False, "truncated", "connection closed"),
    (PART, True, "truncated", "without a finish reason"),
    (PART[:-1] + b"\0", True, "decode", "checksum"),
    (PART + event("PayloadPart", b"data: {not json\n"), True, "decode", "documented form"),
    (PART + event("PayloadPart", b'data: {"choices": 7}\n'), True, "decode", "documented form"),
    (PART + event("PayloadPart", b'data: {"unknown": 7}\n'), True, "decode", "documented form"),
    (event("PayloadPart", b"data: [DONE]\n"), True, "empty", "no token"),
    (b"", True, "empty", "no token"),
    (b"", False, "truncated", "connection closed"),
    (PART + event("PayloadPart", b'{"error": {"message": "out of memory", "code": 500}}\n'), True, "stream_error",
     "out of memory"),
    (PART + event("PayloadPart", b'data: {"error": "overloaded", "error_type": "overloaded"}\n'), True, "stream_error",
     "overloaded"),
    (event("PayloadPart", b'{"token": {"id": -1, "text": ""}, "generated_text": "", "details": {"finish_reason":'
                          b' "error"}}\n'), True, "stream_error", "broke the answer off: error"),
])
def test_every_failure_in_a_stream_has_its_outcome(body: bytes, complete: bool, outcome: Outcome, message: str) -> None:
    failure = read(body, complete).failure
    assert failure is not None
    assert failure.outcome == outcome and message in failure.message


def test_chunks_before_a_failure_are_kept() -> None:
    reading = read(PART + exception("ModelStreamError", {"Message": "slow"}))
    assert [chunk.text for chunk in reading.chunks] == ["A"]


def test_a_failure_of_the_exchange_is_left_to_it() -> None:
    reading = read(PART, complete=False, failure=Failure("timeout_idle", "silence"))
    assert reading.failure is None and len(reading.chunks) == 1


def test_messages_of_broken_streams_do_not_quote_the_answer() -> None:
    reading = read(event("PayloadPart", b'data: {"choices": "my secret prompt"}\n'))
    assert reading.failure and "secret" not in reading.failure.message


_json = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                         st.sampled_from(["choices", "delta", "token", "id", "text", "usage", "details", "error",
                                          "generated_text", "content", "tool_calls", "function", "outputs"]),
                         inner, max_size=3), max_leaves=12)


@given(st.lists(_json, max_size=4), st.booleans())
def test_no_json_from_outside_raises(lines: list[Any], streamed: bool) -> None:
    endpoint = MADE["streamed" if streamed else "whole"]
    raw = b"".join(b"data: " + json.dumps(line).encode() + b"\n" for line in lines)
    read(event("PayloadPart", raw) if streamed else json.dumps(lines).encode(), endpoint=endpoint)


@given(st.binary(max_size=300))
def test_no_bytes_from_outside_raise(body: bytes) -> None:
    for endpoint in MADE.values():
        assert read(body, endpoint=endpoint).failure is not None
        endpoint.carries_token(body)

