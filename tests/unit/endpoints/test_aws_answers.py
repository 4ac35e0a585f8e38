"""Answers of SageMaker's containers and of Bedrock's families as they really come, and what is right about each."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fmload.config.schema import EndpointSpec
from fmload.endpoints.bedrock import Bedrock
from fmload.endpoints.sagemaker import SageMaker
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange
from tests.aws_frames import chunk, event

pytestmark = pytest.mark.usefixtures("aws_environment")


def bedrock(body: bytes, model: str = "amazon.nova-lite-v1:0", headers: dict[str, str] | None = None,
            **keys: Any) -> Reading:
    spec = {"name": "br", "protocol": "bedrock", "model": model, "region": "us-east-1", **keys}
    endpoint = Bedrock.from_spec(EndpointSpec.model_validate(spec))
    return endpoint.read(Exchange("h", status=200, headers=headers or {}, body=body, complete=True))


def invoked(*events: Any, model: str, **keys: Any) -> Reading:
    return bedrock(b"".join(map(chunk, events)), model, api="invoke", **keys)


def sagemaker(*parts: bytes, **keys: Any) -> Reading:
    spec = {"name": "sm", "protocol": "sagemaker", "payload_format": "openai", "region": "us-east-1", **keys}
    endpoint = SageMaker.from_spec(EndpointSpec.model_validate(spec))
    body = b"".join(event("PayloadPart", part) for part in parts) if spec.get("stream", True) else b"".join(parts)
    return endpoint.read(Exchange("h", status=200, body=body, complete=True))


def failed(reading: Reading) -> str | None:
    return reading.failure.outcome if reading.failure else None


START = event("messageStart", {"role": "assistant"})


def delta(**block: Any) -> bytes:
    return event("contentBlockDelta", {"delta": block, "contentBlockIndex": 0})


def usage(**counts: int) -> bytes:
    return event("metadata", {"usage": counts, "metrics": {"latencyMs": 5}})


# -- Converse --


@pytest.mark.parametrize("reason", ["guardrail_intervened", "content_filtered"])
def test_an_answer_that_a_guardrail_ended_is_blocked_with_or_without_tokens(reason: str) -> None:
    stop = event("messageStop", {"stopReason": reason})
    for text in (b"", delta(text="Sorry")):
        reading = bedrock(START + text + stop + usage(inputTokens=5, outputTokens=0))
        assert (failed(reading), reading.finish_reason) == ("blocked", reason)


def test_a_guardrail_of_an_invocation_is_told_beside_its_answer() -> None:
    body = {"outputs": [{"text": "Sorry", "stop_reason": "stop"}], "amazon-bedrock-guardrailAction": "INTERVENED"}
    assert failed(invoked(body, model="mistral.mistral-7b-instruct-v0:2")) == "blocked"


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_the_model_spoilt_is_a_stream_error(reason: str) -> None:
    reading = bedrock(START + delta(text="A") + event("messageStop", {"stopReason": reason}))
    assert failed(reading) == "stream_error"


def test_converses_input_leaves_out_what_was_cached_and_more_cached_than_fresh_is_no_contradiction() -> None:
    stop = event("messageStop", {"stopReason": "end_turn"})
    reading = bedrock(START + delta(text="A") + stop + usage(inputTokens=3, outputTokens=1, cacheReadInputTokens=500,
                                                             cacheWriteInputTokens=20, totalTokens=524))
    assert (reading.input_tokens, reading.cached_tokens, reading.output_tokens) == (523, 500, 1)
    assert reading.remark is None


def test_the_metrics_of_an_invocation_count_cached_input_apart_too() -> None:
    metrics = {"inputTokenCount": 3, "outputTokenCount": 1, "cacheReadInputTokenCount": 500,
               "cacheWriteInputTokenCount": 20}
    reading = invoked({"outputs": [{"text": "A", "stop_reason": "stop"}], "amazon-bedrock-invocationMetrics": metrics},
                      model="mistral.mistral-7b-instruct-v0:2")
    assert (reading.input_tokens, reading.cached_tokens, reading.cache_write_tokens) == (523, 500, 20)


@pytest.mark.parametrize("value", ["²", "9" * 30, "-1", "1.5", "", "٣"])
def test_a_header_that_is_no_count_is_left_out(value: str) -> None:
    body = json.dumps({"outputs": [{"text": "A", "stop_reason": "stop"}]}).encode()
    reading = bedrock(body, "mistral.mistral-7b-instruct-v0:2", api="invoke", stream=False, headers={
        "x-amzn-bedrock-input-token-count": "5", "x-amzn-bedrock-output-token-count": value,
        "x-amzn-bedrock-invocation-latency": value})
    assert (reading.output_tokens, failed(reading)) == (None, None) and "latencyMs" not in reading.detail


def test_one_event_of_no_known_form_costs_no_other_token() -> None:
    stop = event("messageStop", {"stopReason": "end_turn"})
    reading = bedrock(START + delta(text="A") + event("contentBlockDelta", {"x": 1}) + delta(text="B") + stop)
    assert failed(reading) == "decode" and reading.said("answer") == "AB"


def test_numbers_that_are_none_cost_no_token_of_converse() -> None:
    odd = event("metadata", b'{"usage": {"inputTokens": 5, "outputTokens": 1}, "metrics": {"latencyMs": NaN}}')
    reading = bedrock(START + delta(text="A") + event("messageStop", {"stopReason": "end_turn"}) + odd)
    assert (failed(reading), reading.output_tokens) == (None, 1)


# -- InvokeModel --


def test_llamas_first_token_may_have_no_text() -> None:
    reading = invoked({"generation": "", "prompt_token_count": 9, "generation_token_count": 1, "stop_reason": None},
                      {"generation": "é", "generation_token_count": 2, "stop_reason": None},
                      {"generation": "", "generation_token_count": 2, "stop_reason": "stop"},
                      model="us.meta.llama4-scout-17b-instruct-v1:0")
    assert [(piece.text, piece.tokens) for piece in reading.chunks] == [("", 1), ("é", 1)]
    assert (reading.input_tokens, reading.output_tokens, reading.chunk_tokens_known) == (9, 2, True)


OPENAI_MODELS = ["openai.gpt-oss-120b-1:0", "deepseek.v3-v1:0", "qwen.qwen3-32b-v1:0", "ai21.jamba-1-5-large-v1:0",
                 "moonshot.kimi-k2-thinking", "zai.glm-4.6", "minimax.minimax-m2", "nvidia.nemotron-nano-9b-v2",
                 "us.writer.palmyra-x5-v1:0", "mistral.mistral-large-2407-v1:0", "us.deepseek.r1-v1:0",
                 "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc123"]


@pytest.mark.parametrize("model", OPENAI_MODELS)
def test_an_answer_in_openais_form_is_read_whatever_the_family(model: str) -> None:
    told = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    reading = invoked({"choices": [{"index": 0, "delta": {"reasoning_content": "Hm"}}]},
                      {"choices": [{"index": 0, "delta": {"content": "A"}, "finish_reason": None}]},
                      {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                      {"choices": [], "usage": told, "amazon-bedrock-invocationMetrics": {"inputTokenCount": 9,
                                                                                           "outputTokenCount": 2}},
                      model=model)
    assert [piece.channel for piece in reading.chunks] == ["reasoning", "answer"]
    assert (reading.input_tokens, reading.output_tokens, failed(reading)) == (9, 2, None)
    whole = json.dumps({"choices": [{"index": 0, "message": {"content": "A"}, "finish_reason": "stop"}],
                        "usage": told}).encode()
    reading = bedrock(whole, model, api="invoke", stream=False)
    assert (reading.output_tokens, failed(reading), [piece.tokens for piece in reading.chunks]) == (2, None, [2])


def test_texts_in_choices_of_an_older_form_are_read() -> None:
    reading = invoked({"choices": [{"text": "Hm", "stop_reason": None}]}, {"choices": [{"text": "A",
                                                                                        "stop_reason": "stop"}]},
                      model="us.deepseek.r1-v1:0")
    assert (reading.said("answer"), reading.finish_reason, failed(reading)) == ("HmA", "stop", None)


FAMILY_STREAMS = {
    "amazon.titan-text-express-v1": [
        {"outputText": "A", "index": 0, "totalOutputTextTokenCount": None, "completionReason": None},
        {"outputText": "B", "index": 0, "totalOutputTextTokenCount": 2, "completionReason": "FINISH",
         "inputTextTokenCount": 9}],
    "cohere.command-r-v1:0": [
        {"event_type": "text-generation", "text": "A", "is_finished": False},
        {"event_type": "text-generation", "text": "B", "is_finished": False},
        {"event_type": "stream-end", "finish_reason": "COMPLETE", "is_finished": True, "response": {"text": "AB"},
         "amazon-bedrock-invocationMetrics": {"inputTokenCount": 9, "outputTokenCount": 2}}],
    "cohere.command-text-v14": [
        {"text": "A", "is_finished": False}, {"text": "B", "is_finished": False},
        {"is_finished": True, "finish_reason": "COMPLETE",
         "amazon-bedrock-invocationMetrics": {"inputTokenCount": 9, "outputTokenCount": 2}}],
}


@pytest.mark.parametrize("model", FAMILY_STREAMS)
def test_the_streams_of_further_families_are_read(model: str) -> None:
    reading = invoked(*FAMILY_STREAMS[model], model=model)
    assert (reading.said("answer"), failed(reading)) == ("AB", None)
    assert (reading.input_tokens, reading.output_tokens, reading.chunk_tokens_known) == (9, 2, True)


FAMILY_WHOLES = {
    "amazon.titan-text-express-v1": {"inputTextTokenCount": 9, "results": [
        {"tokenCount": 2, "outputText": "AB", "completionReason": "FINISH"}]},
    "cohere.command-r-v1:0": {"text": "AB", "finish_reason": "COMPLETE",
                              "meta": {"tokens": {"input_tokens": 9, "output_tokens": 2}}},
    "cohere.command-text-v14": {"generations": [{"text": "AB", "finish_reason": "COMPLETE"}]},
}


@pytest.mark.parametrize("model", FAMILY_WHOLES)
def test_whole_answers_of_further_families_are_read(model: str) -> None:
    headers = {"x-amzn-bedrock-input-token-count": "9", "x-amzn-bedrock-output-token-count": "2"}
    reading = bedrock(json.dumps(FAMILY_WHOLES[model]).encode(), model, headers, api="invoke", stream=False)
    assert (reading.said("answer"), failed(reading)) == ("AB", None)
    assert (reading.input_tokens, reading.output_tokens) == (9, 2)


def test_redacted_thinking_of_claude_is_a_token_and_its_refusal_is_blocked() -> None:
    reading = invoked({"type": "content_block_start", "content_block": {"type": "redacted_thinking", "data": "xx"}},
                      {"type": "content_block_delta", "delta": {"text": "A"}},
                      {"type": "message_delta", "delta": {"stop_reason": "refusal"}, "usage": {"output_tokens": 9}},
                      model="anthropic.claude-haiku-4-5-20251001-v1:0")
    assert [piece.channel for piece in reading.chunks] == ["reasoning", "answer"] and failed(reading) == "blocked"


@pytest.mark.parametrize("told", [1, 2, 9])
def test_sealed_thinking_is_a_chunk_of_unknown_size(told: int) -> None:
    reading = invoked({"type": "content_block_start", "content_block": {"type": "redacted_thinking", "data": "xx"}},
                      {"type": "content_block_delta", "delta": {"text": "A"}},
                      {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": told}},
                      model="anthropic.claude-haiku-4-5-20251001-v1:0")
    assert [piece.tokens for piece in reading.chunks] == [0, 1]
    assert not reading.chunk_tokens_known and reading.output_tokens == told


# -- SageMaker --


def test_jumpstart_tells_no_counts_and_the_text_is_kept_to_be_counted() -> None:
    reading = sagemaker(b'[{"generated_text": "one two three"}]', payload_format="jumpstart", stream=False)
    assert (reading.output_tokens, reading.tokens_source, reading.chunk_tokens_known) == (None, None, False)
    assert (reading.said("answer"), failed(reading)) == ("one two three", None)


TEMPLATE = {"payload_format": "template", "template": {"q": "$prompt"}, "answer_path": "out.text"}


@pytest.mark.parametrize("end", [b'event: error\ndata: {"message": "out of memory"}\n\n',
                                 b"event: error\ndata: out of memory\n\n", b'{"error": "out of memory"}\n',
                                 b'data: {"error": {"message": "out of memory"}}\n\n',
                                 b'{"detail": "out of memory"}\n'])
def test_an_error_under_a_template_keeps_its_words(end: bytes) -> None:
    reading = sagemaker(b'data: {"out": {"text": "A"}}\n\n', end, **TEMPLATE)
    assert reading.failure is not None and (reading.failure.outcome, len(reading.chunks)) == ("stream_error", 1)
    assert "out of memory" in reading.failure.message


def test_pings_and_counts_under_a_template_are_no_text() -> None:
    reading = sagemaker(b'event: ping\ndata: {}\n\n', b'data: {"out": {"text": "A"}}\n\n', b': c\n',
                        b'data: {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n\n', **TEMPLATE)
    assert (failed(reading), reading.input_tokens, reading.output_tokens) == (None, 3, 1)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_bare_text_that_parts_split_is_whole_characters(size: int) -> None:
    text = "Größe 🦀 日本"
    raw = text.encode()
    parts = [raw[at:at + size] for at in range(0, len(raw), size)]
    reading = sagemaker(*parts, payload_format="template", template={"q": "$prompt"}, answer_path="$")
    assert reading.said("answer") == text and failed(reading) is None


def test_reasoning_between_tags_is_split_off_by_an_option() -> None:
    pieces = ["<th", "ink>Hm", " so</", "think>\n", "A", "B"]
    parts = [b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": piece}}]}).encode() + b"\n\n"
             for piece in pieces]
    end = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    reading = sagemaker(*parts, end, reasoning_tags="think")
    assert [piece.channel for piece in reading.chunks] == ["reasoning"] * 3 + ["answer"] * 3
    assert (reading.said("answer"), reading.said("reasoning")) == ("\nAB", "<think>Hm so</think>")
    assert [piece.channel for piece in sagemaker(*parts, end).chunks] == ["answer"] * 6


@pytest.mark.parametrize(("said", "answer"), [("Hm</think>A", "A"), ("<think>Hm", ""), ("A", "A"),
                                              ("A<think>x</think>B<think>y</think>C", "ABC"), ("<think></think>", "")])
def test_tags_that_the_template_opened_or_nothing_closed_are_understood(said: str, answer: str) -> None:
    body = [{"type": "message", "content": [{"type": "text", "text": said}], "stop_reason": "end_turn",
             "usage": {"input_tokens": 1, "output_tokens": 5}}]
    reading = bedrock(json.dumps(body[0]).encode(), "anthropic.claude-haiku-4-5-20251001-v1:0", api="invoke",
                      stream=False, reasoning_tags="think")
    assert reading.said("answer") == answer and len(reading.chunks) == 1


def test_bytes_of_a_chunk_that_are_no_base64_fail_it_alone() -> None:
    good = {"outputs": [{"text": "A", "stop_reason": "stop"}]}
    body = event("chunk", {"bytes": "?"}) + event("chunk", {"bytes": base64.b64encode(json.dumps(good).encode()
                                                                                         ).decode()})
    reading = bedrock(body, "mistral.mistral-7b-instruct-v0:2", api="invoke")
    assert (failed(reading), reading.said("answer")) == ("decode", "A")
