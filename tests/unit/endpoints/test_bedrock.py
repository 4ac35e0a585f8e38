"""Bedrock: requests of both APIs, what the events and bodies of each family say, how failures end."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.endpoints.bedrock import Bedrock
from fmload.endpoints.bedrock_bodies import family_of
from fmload.model.outcome import Outcome
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Address, CarriesToken, Exchange, HttpRequest
from fmload.worker.cancellation import Enough
from tests.aws_frames import chunk, error, event, exception

NOVA = "amazon.nova-lite-v1:0"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
LLAMA = "meta.llama3-1-8b-instruct-v1:0"
MISTRAL = "mistral.mistral-7b-instruct-v0:2"
PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123"


class RecordingWire:
    """Keeps the request and answers with nothing."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    def exchange(self, address: Address, request: HttpRequest, carries_token: CarriesToken) -> Exchange:
        self.requests.append(request)
        return Exchange(str(address), status=200, complete=True)


pytestmark = pytest.mark.usefixtures("aws_environment")


def make(**keys: Any) -> Bedrock:
    defaults = {"name": "br", "protocol": "bedrock", "model": NOVA, "region": "us-east-1"}
    return Bedrock.from_spec(EndpointSpec.model_validate({**defaults, **keys}))


MADE: dict[str, Bedrock] = {}


@pytest.fixture(autouse=True)
def _made_once(aws_environment: None) -> None:
    if not MADE:
        MADE.update(converse=make(), converse_whole=make(stream=False))
        for family, model in (("anthropic", CLAUDE), ("llama", LLAMA), ("nova", NOVA), ("mistral", MISTRAL)):
            MADE[family] = make(api="invoke", model=model)
            MADE[family + "_whole"] = make(api="invoke", model=model, stream=False)


def sent(endpoint: Bedrock, prompt: Prompt) -> tuple[HttpRequest, dict[str, Any]]:
    wire = RecordingWire()
    endpoint.send(prompt, "request-1", wire, endpoint.addresses()[0])
    return wire.requests[0], json.loads(wire.requests[0].body)


def read(body: bytes, by: str = "converse", complete: bool = True, **headers: str) -> Reading:
    return MADE[by].read(Exchange("https://h:443", status=200, headers=headers, body=body, complete=complete))


TEXT = Prompt("p1", "set", text="Why?", output_tokens=7)
CHAT = Prompt("p2", "set", messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
              output_tokens=7)
BLOCK = [{"text": "Why?"}]


# ---- requests


@pytest.mark.parametrize("model", [NOVA, CLAUDE, PROVISIONED])
def test_ids_profiles_and_arns_travel_in_the_path(model: str) -> None:
    request, _ = sent(make(model=model), TEXT)
    assert unquote(request.target) == f"/model/{model}/converse-stream"
    assert request.headers["Host"] == "bedrock-runtime.us-east-1.amazonaws.com"
    assert "/us-east-1/bedrock/aws4_request" in request.headers["Authorization"]
    assert request.headers["X-Request-Id"] == "request-1"


def test_converse_takes_system_messages_parameters_and_what_only_the_model_knows() -> None:
    _, body = sent(make(parameters={"temperature": 0.1, "top_p": 0.9, "stop": "X", "max_tokens": 99,
                                    "reasoning_config": {"type": "enabled"}},
                        service_tier="flex", latency="optimized", guardrail={"identifier": "g1", "version": "2"}), CHAT)
    assert body == {
        "messages": [{"role": "user", "content": BLOCK}], "system": [{"text": "Be brief."}],
        "inferenceConfig": {"temperature": 0.1, "topP": 0.9, "stopSequences": ["X"], "maxTokens": 7},
        "additionalModelRequestFields": {"reasoning_config": {"type": "enabled"}},
        "serviceTier": {"type": "flex"}, "performanceConfig": {"latency": "optimized"},
        "guardrailConfig": {"guardrailIdentifier": "g1", "guardrailVersion": "2"}}


def test_images_of_a_chat_become_image_blocks() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC"}}
    prompt = Prompt("p", "s", messages=[{"role": "user", "content": [{"type": "text", "text": "See"}, picture]}])
    _, body = sent(make(), prompt)
    assert body["messages"][0]["content"] == [
        {"text": "See"}, {"image": {"format": "png", "source": {"bytes": "AAEC"}}}]


@pytest.mark.parametrize(("model", "prompt", "expected"), [
    (CLAUDE, CHAT, {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 7, "system": "Be brief.",
                    "messages": [{"role": "user", "content": "Why?"}]}),
    (LLAMA, TEXT, {"prompt": "Why?", "max_gen_len": 7}),
    (LLAMA, CHAT, {"prompt": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
                             "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
                             "<|start_header_id|>assistant<|end_header_id|>\n\n", "max_gen_len": 7}),
    (NOVA, CHAT, {"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": BLOCK}],
                  "system": [{"text": "Be brief."}], "inferenceConfig": {"maxTokens": 7}}),
    (MISTRAL, TEXT, {"prompt": "<s>[INST] Why? [/INST]", "max_tokens": 7}),
    (MISTRAL, CHAT, {"messages": CHAT.messages, "max_tokens": 7}),
])
def test_invoke_sends_each_family_its_own_body(model: str, prompt: Prompt, expected: dict[str, Any]) -> None:
    request, body = sent(make(api="invoke", model=model, service_tier="priority"), prompt)
    assert body == expected
    assert request.target.endswith("/invoke-with-response-stream")
    assert request.headers["X-Amzn-Bedrock-Service-Tier"] == "priority"


def test_unstreamed_operations_have_their_own_paths() -> None:
    assert sent(make(stream=False), TEXT)[0].target.endswith("/converse")
    assert sent(make(stream=False, api="invoke"), TEXT)[0].target.endswith("/invoke")


@pytest.mark.parametrize(("model", "family"), [
    (CLAUDE, "anthropic"), ("anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic"), (LLAMA, "llama"),
    ("us.meta.llama4-scout-17b-instruct-v1:0", "llama4"), ("eu.amazon.nova-micro-v1:0", "nova"), (MISTRAL, "mistral"),
    (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{CLAUDE}", "anthropic"),
    (f"arn:aws:bedrock:us-east-1::foundation-model/{LLAMA}", "llama"), (PROVISIONED, None),
    ("us.deepseek.r1-v1:0", "deepseek"), ("deepseek.v3-v1:0", "openai"), ("openai.gpt-oss-120b-1:0", "openai"),
    ("qwen.qwen3-32b-v1:0", "openai"), ("amazon.titan-text-express-v1", "titan"), ("cohere.command-r-v1:0", "command"),
    ("cohere.command-text-v14", "command_text"), ("ai21.jamba-1-5-large-v1:0", "openai"), ("zai.glm-4.6", "openai"),
    ("moonshot.kimi-k2-thinking", "openai"), ("minimax.minimax-m2", "openai"), ("nvidia.nemotron-nano-9b-v2", "openai"),
    ("us.writer.palmyra-x5-v1:0", "openai"),
    ("arn:aws:bedrock:us-east-1:123456789012:imported-model/abc123", "openai"),
])
def test_the_family_is_told_from_ids_profiles_and_arns(model: str, family: str | None) -> None:
    assert family_of(model) == family


def test_a_bearer_token_of_the_environment_takes_the_place_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-abc")
    assert sent(make(), TEXT)[0].headers["Authorization"] == "Bearer bedrock-api-key-abc"
    emulated = make(emulated="nova", url="http://127.0.0.1:5700")
    assert "Credential=emulated/" in sent(emulated, TEXT)[0].headers["Authorization"]


# ---- what cannot be used is said before the load


@pytest.mark.parametrize(("keys", "message"), [
    ({"model": None}, "'br': no model"),
    ({"region": None}, "no AWS region"),
    ({"api": "invoke", "model": PROVISIONED}, "does not tell the model's family"),
    ({"parameters": {"temperature": "hot"}}, "temperature"),
    ({"profile": "nobody"}, "nobody"),
])
def test_what_cannot_be_used_is_an_error_before_the_load(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(FmloadError, match=message):
        make(**keys)


def test_a_family_is_of_use_to_invoke_alone() -> None:
    with pytest.raises(ValidationError, match="api: invoke"):
        make(family="llama")


# ---- Converse


def delta(**content: Any) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": 0, "delta": content, "p": "abcdefgh"})


STOP = event("contentBlockStop", {"contentBlockIndex": 0}) + event("messageStop", {"stopReason": "end_turn"})
METADATA = event("metadata", {"usage": {"inputTokens": 5, "outputTokens": 3, "totalTokens": 15,
                                        "cacheReadInputTokens": 4, "cacheWriteInputTokens": 3},
                              "metrics": {"latencyMs": 321}, "serviceTier": {"type": "flex"}})
START = event("messageStart", {"role": "assistant", "p": "abc"})


def test_converse_events_without_a_token_are_no_chunks() -> None:
    reading = read(START + delta(text="A") + delta(text="") + delta(text="B") + STOP + METADATA)
    first = len(START + delta(text="A"))
    second = first + len(delta(text="") + delta(text="B"))
    assert [(c.text, c.end) for c in reading.chunks] == [("A", first), ("B", second)]
    assert (reading.finish_reason, reading.failure) == ("end_turn", None)


def test_the_tokens_of_a_stream_that_goes_on_can_be_counted() -> None:
    enough, part = Enough(MADE["converse"], 3), delta(text="A")
    assert [enough(len(body), partial(bytes, body)) for body in (part, part * 2, part * 3)] == [False, False, True]


def test_cached_tokens_are_part_of_the_input() -> None:
    reading = read(START + delta(text="A") + STOP + METADATA)
    assert (reading.input_tokens, reading.cached_tokens, reading.output_tokens) == (12, 4, 3)
    assert reading.tokens_source == "server"


def test_tokens_written_to_the_cache_are_told_and_those_for_an_hour_apart() -> None:
    written = event("metadata", {"usage": {"inputTokens": 5, "outputTokens": 3, "cacheWriteInputTokens": 30,
                                           "cacheDetails": [{"ttl": "5m", "inputTokens": 10},
                                                            {"ttl": "1h", "inputTokens": 20}]}})
    reading = read(START + delta(text="A") + STOP + written)
    assert (reading.input_tokens, reading.cache_write_tokens, reading.cache_write_1h_tokens) == (35, 30, 20)
    assert read(START + delta(text="A") + STOP + METADATA).cache_write_1h_tokens is None


def test_the_server_s_own_figures_are_kept() -> None:
    reading = read(START + delta(text="A") + STOP + METADATA, **{"x-amzn-requestid": "r-1"})
    assert reading.detail == {"request_id": "r-1", "latencyMs": 321, "serviceTier": "flex"}


def test_reasoning_and_tools_have_their_channels_and_a_signature_is_no_token() -> None:
    tool = event("contentBlockStart", {"start": {"toolUse": {"name": "look", "toolUseId": "t"}}})
    body = (START + delta(reasoningContent={"text": "Hm"}) + delta(reasoningContent={"redactedContent": "QUJD"})
            + delta(reasoningContent={"signature": "abc"}) + delta(text="A") + tool + delta(toolUse={"input": "{"})
            + STOP)
    assert [(c.channel, c.text) for c in read(body).chunks] == [
        ("reasoning", "Hm"), ("reasoning", "redacted"), ("answer", "A"), ("tool", "look"), ("tool", "{")]
    assert [c.tokens for c in read(body).chunks] == [1, 0, 1, 1, 1]  # how many were sealed, nobody tells


def test_a_whole_converse_answer_is_read_with_its_usage() -> None:
    body = json.dumps({"output": {"message": {"role": "assistant", "content": [
        {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "s"}}}, {"text": "AB"}]}},
        "stopReason": "max_tokens", "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7},
        "metrics": {"latencyMs": 12}}).encode()
    reading = read(body, "converse_whole")
    assert [(c.channel, c.text, c.end) for c in reading.chunks] == [("reasoning", "Hm", len(body)),
                                                                    ("answer", "AB", len(body))]
    assert (reading.input_tokens, reading.output_tokens, reading.finish_reason) == (5, 2, "max_tokens")
    assert reading.detail == {"latencyMs": 12}


# ---- InvokeModel


METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 3, "invocationLatency": 321,
                                                "firstByteLatency": 100}}
STREAMS: dict[str, bytes] = {
    "anthropic": b"".join(map(chunk, [
        {"type": "message_start", "message": {"role": "assistant", "usage": {
            "input_tokens": 1, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "A"}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "B"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop", **METRICS}])),
    "llama": b"".join(map(chunk, [
        {"generation": "Hm", "prompt_token_count": 5, "generation_token_count": 1, "stop_reason": None},
        {"generation": "AB", "prompt_token_count": None, "generation_token_count": 3, "stop_reason": None},
        {"generation": "", "prompt_token_count": None, "generation_token_count": 3, "stop_reason": "end_turn",
         **METRICS}])),
    "nova": b"".join(map(chunk, [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "Hm"}, "contentBlockIndex": 0}},
        {"contentBlockDelta": {"delta": {"text": "A"}, "contentBlockIndex": 0}},
        {"contentBlockDelta": {"delta": {"text": "B"}, "contentBlockIndex": 0}}, {"contentBlockStop": {}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 5, "outputTokens": 3}}, **METRICS}])),
    "mistral": b"".join(map(chunk, [
        {"outputs": [{"text": "Hm", "stop_reason": None}]}, {"outputs": [{"text": "A", "stop_reason": None}]},
        {"outputs": [{"text": "B", "stop_reason": "end_turn"}], **METRICS}])),
}


@pytest.mark.parametrize("family", STREAMS)
def test_the_stream_of_each_family_is_read(family: str) -> None:
    reading = read(STREAMS[family], family)
    assert "".join(c.text for c in reading.chunks) == "HmAB"
    assert sum(c.tokens for c in reading.chunks) == 3
    assert (reading.input_tokens, reading.output_tokens, reading.finish_reason) == (5, 3, "end_turn")
    assert reading.failure is None
    assert (reading.detail["latencyMs"], reading.detail["firstByteLatencyMs"]) == (321, 100)


def test_llama_s_running_count_tells_the_tokens_of_each_chunk() -> None:
    assert [c.tokens for c in read(STREAMS["llama"], "llama").chunks] == [1, 2]


@pytest.mark.parametrize("counts", [(None, None), ("1", "3"), (1.0, 3.0), (10 ** 20, 10 ** 20), (-1, -3)])
def test_llama_s_text_is_kept_whatever_its_count_says(counts: tuple[Any, Any]) -> None:
    stream = [{"generation": text, "generation_token_count": count, "stop_reason": None}
              for text, count in zip(("Hm", "AB"), counts, strict=True)]
    assert [c.text for c in read(b"".join(map(chunk, stream)), "llama").chunks] == ["Hm", "AB"]


@pytest.mark.parametrize("body", [b'{"error":{"message":"no room"}}', b'{"message":"no room"}'])
def test_an_error_of_status_200_in_place_of_a_stream_is_told_in_its_words(body: bytes) -> None:
    failure = read(body, "llama").failure
    assert failure is not None and (failure.outcome, failure.message) == ("stream_error", "no room")


def test_anthropic_s_first_guess_of_the_output_is_not_taken_for_a_count() -> None:
    cut = chunk({"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}})
    assert read(cut, "anthropic").output_tokens is None


@pytest.mark.parametrize(("family", "body"), [
    ("anthropic", {"type": "message", "content": [{"type": "thinking", "thinking": "Hm"},
                                                  {"type": "text", "text": "AB"}],
                   "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 3}}),
    ("llama", {"generation": "HmAB", "prompt_token_count": 5, "generation_token_count": 3, "stop_reason": "end_turn"}),
    ("nova", {"output": {"message": {"content": [{"text": "HmAB"}]}}, "stopReason": "end_turn",
              "usage": {"inputTokens": 5, "outputTokens": 3}}),
    ("mistral", {"outputs": [{"text": "HmAB", "stop_reason": "end_turn"}]}),
    ("mistral", {"choices": [{"message": {"content": "HmAB"}, "stop_reason": "end_turn"}]}),
])
def test_the_whole_answer_of_each_family_is_read_and_headers_count(family: str, body: dict[str, Any]) -> None:
    headers = {"x-amzn-bedrock-input-token-count": "5", "x-amzn-bedrock-output-token-count": "3",
               "x-amzn-bedrock-invocation-latency": "12"}
    reading = read(json.dumps(body).encode(), family + "_whole", **headers)
    assert "".join(c.text for c in reading.chunks) == "HmAB"
    assert (reading.input_tokens, reading.output_tokens, reading.finish_reason) == (5, 3, "end_turn")
    assert reading.failure is None and reading.detail["latencyMs"] == 12


# ---- failures inside a stream


A = START + delta(text="A")


@pytest.mark.parametrize(("body", "complete", "outcome", "message"), [
    (A + exception("throttlingException", {"message": "slower"}), True, "throttled", "throttlingException: slower"),
    (A + exception("modelStreamErrorException", {"message": "bad", "originalStatusCode": 500,
                                                 "originalMessage": "out of memory"}), True, "stream_error",
     "modelStreamErrorException: bad (originally 500: out of memory)"),
    (A + exception("internalServerException", {"message": "oops"}), True, "stream_error",
     "internalServerException: oops"),
    (A + exception("validationException", {"message": "no"}), True, "stream_error", "validationException: no"),
    (A + exception("serviceUnavailableException", {}), True, "stream_error", "serviceUnavailableException"),
    (A + error("InternalError", "boom"), True, "stream_error", "InternalError: boom"),
    (A + delta(text="B")[:20], False, "truncated", "inside a frame"),
    (A + delta(text="B")[:20], True, "truncated", "inside a frame"),
    (A, True, "truncated", "without messageStop"),
    (A, False, "truncated", "connection closed"),
    (START + STOP, True, "empty", "no token"),
    (A + event("messageStop", {}), True, "decode", "documented form"),
    (A + event("contentBlockDelta", b"{"), True, "decode", "documented form"),
])
def test_every_failure_in_a_stream_has_its_outcome(body: bytes, complete: bool, outcome: Outcome, message: str) -> None:
    failure = read(body, complete=complete).failure
    assert failure is not None
    assert failure.outcome == outcome and message in failure.message


@pytest.mark.parametrize("family", STREAMS)
@given(data=st.data())
def test_a_stream_cut_anywhere_before_its_end_never_succeeds(family: str, data: st.DataObject) -> None:
    stream = STREAMS[family]
    last_text = read(stream, family).chunks[-1].end
    cut = stream[:data.draw(st.integers(0, last_text - 1))]
    for complete in (True, False):
        failure = read(cut, family, complete).failure
        assert failure is not None and failure.outcome in ("truncated", "empty" if complete else "truncated")


_keys = ["type", "delta", "text", "message", "usage", "content", "outputs", "choices", "generation", "output",
         "messageStop", "contentBlockDelta", "metadata", "stopReason", "input_tokens", "bytes", "content_block"]
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["message_start", "message", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_keys), inner, max_size=3),
    max_leaves=12)
_kinds = st.sampled_from(["contentBlockDelta", "messageStop", "metadata", "contentBlockStart"])


@given(st.sampled_from(["converse", "anthropic", "llama", "nova", "mistral"]),
       st.lists(st.tuples(_kinds, _json), max_size=4))
def test_no_json_from_outside_raises(by: str, events: list[tuple[str, Any]]) -> None:
    body = b"".join(event(kind, value) if by == "converse" else chunk(value) for kind, value in events)
    read(body, by)
    for _, value in events:
        read(json.dumps(value).encode(), by + "_whole")


@given(st.binary(max_size=300), st.sampled_from(["converse", "converse_whole", "llama", "llama_whole"]))
def test_no_bytes_from_outside_raise(body: bytes, by: str) -> None:
    assert read(body, by).failure is not None
    MADE[by].carries_token(body)
