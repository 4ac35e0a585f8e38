"""Answers as real servers send them, with what is right about each: the published cases, and more of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from published_data import cases

from fmload.config.schema import EndpointSpec
from fmload.endpoints import openai_answer
from fmload.endpoints.openai import OPENAI
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record, pack, to_table, unpack
from fmload.wire.exchange import Address, Exchange, ReadMark
from fmload.worker.measure import measure

COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")


class Answering:
    """A wire that gives one prepared answer, each event in a read of its own."""

    def __init__(self, body: bytes) -> None:
        ends = [place + 2 for place in range(len(body)) if body[place:place + 2] == b"\n\n"] or [len(body)]
        marks = [ReadMark(end, 1000 + 10 * number, 0, True) for number, end in enumerate(ends)]
        self._exchange = Exchange("http://h:1", send_ns=0, headers_ns=500, end_ns=marks[-1].ns, status=200, body=body,
                                  marks=marks, complete=True)

    def exchange(self, *_: Any) -> Exchange:
        return self._exchange

    def partial(self) -> None:
        return None


def measured(body: bytes, streamed: bool = True, output_tokens: int | None = 200, **options: Any) -> tuple[
        Record, Reading]:
    spec = {"name": "e", "protocol": "openai", "url": "http://h:1/v1", "model": "m", "stream": streamed, **options}
    endpoint = OPENAI.from_spec(EndpointSpec.model_validate(spec))
    return measure(endpoint, Prompt("p", "s", text="x", output_tokens=output_tokens), Answering(body),
                   Address("h", 1), request_id="r", worker="w", stage=0, scheduled_ns=0)


def published() -> list[dict[str, Any]]:
    try:
        path = cases("answers.jsonl")
    except pytest.skip.Exception:
        return []
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in published()])
def test_a_published_answer_is_read_as_its_case_says(case: dict[str, Any]) -> None:
    expected = case["expect"]
    record, reading = measured(case["body"].encode(case["encoding"]), case["streamed"])
    assert record.outcome == expected["outcome"].split(" ")[0]
    for name in COUNTS:
        if isinstance(expected.get(name), int):
            assert getattr(record, name) == expected[name], name
    if isinstance(expected.get("chunks"), int):
        assert len(record.chunk_ns) == expected["chunks"]
    if isinstance(expected.get("chunk_tokens"), list):
        assert list(record.chunk_tokens) == expected["chunk_tokens"] and record.chunk_tokens_known
    if "channels" in expected:
        assert [chunk.channel for chunk in reading.chunks] == expected["channels"]
    assert expected.get("error_holds", "") in (record.error or "")
    assert unpack(pack(record)) == record and to_table([record]).num_rows == 1  # the run stays readable


def chunk(delta: dict[str, Any] | None = None, finish: Any = None, index: int = 0, **message: Any) -> bytes:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    return b"data: " + orjson.dumps({"choices": choices, **message}) + b"\n\n"


def said(text: str, finish: Any = None, **message: Any) -> bytes:
    return chunk({"content": text}, finish, **message)


DONE = b"data: [DONE]\n\n"
END = chunk({}, "stop")

USAGES: dict[str, tuple[dict[str, Any], tuple[int | None, ...]]] = {
    "groq": ({"x_groq": {"usage": {"prompt_tokens": 9, "completion_tokens": 2}}}, (9, 2, None, None)),
    "in metadata": ({"metadata": {"usage": {"input_tokens": 9, "output_tokens": 2}}}, (9, 2, None, None)),
    "gemini's own names": (
        {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 30,
                           "totalTokenCount": 41, "cachedContentTokenCount": 4}}, (9, 32, 4, 30)),
    "responses' details": (
        {"usage": {"input_tokens": 9, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 8},
                   "output_tokens_details": {"reasoning_tokens": 3}}}, (9, 5, 8, 3)),
    "cohere": ({"meta": {"tokens": {"input_tokens": 9.0, "output_tokens": 2.0}}}, (9, 2, None, None)),
    "texts": ({"usage": {"prompt_tokens": "9", "completion_tokens": "2"}}, (9, 2, None, None)),
    "anthropic's names, cached input apart": (
        {"usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 64,
                   "cache_creation_input_tokens": 10}}, (77, 2, 64, None)),
    "litellm, cached input within": (
        {"usage": {"prompt_tokens": 77, "completion_tokens": 2, "total_tokens": 79, "cache_read_input_tokens": 64}},
        (77, 2, 64, None)),
    "cached input outside of the prompt's count": (
        {"usage": {"prompt_tokens": 36, "completion_tokens": 2, "total_tokens": 102,
                   "prompt_tokens_details": {"cached_tokens": 64}}}, (100, 2, 64, None)),
    "grok, reasoning apart": (
        {"usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 61,
                   "completion_tokens_details": {"reasoning_tokens": 50}}}, (9, 52, None, 50)),
    "reasoning beside, no total": (
        {"usage": {"prompt_tokens": 9, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 50}}},
        (9, 52, None, 50)),
    "details that are null": ({"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": None,
                                         "completion_tokens_details": None}}, (9, 2, None, None)),
    "in camel case": ({"usage": {"promptTokens": 9, "completionTokens": 2}}, (9, 2, None, None)),
    "alone in a list": ({"usage": [{"prompt_tokens": 9, "completion_tokens": 2}]}, (9, 2, None, None)),
    "cohere, beside what is billed": (
        {"usage": {"billed_units": {"input_tokens": 5, "output_tokens": 1},
                   "tokens": {"input_tokens": 9, "output_tokens": 2}}}, (9, 2, None, None)),
    "tgi's details": ({"details": {"finish_reason": "length", "generated_tokens": 2}}, (None, 2, None, None)),
    "ollama's own": ({"prompt_eval_count": 9, "eval_count": 2}, (9, 2, None, None)),
    "a total and the prompt's part": ({"usage": {"prompt_tokens": 9, "total_tokens": 11}}, (9, 2, None, None)),
    "llama.cpp's timings alone": ({"timings": {"cache_n": 5, "prompt_n": 4, "predicted_n": 2}}, (9, 2, 5, None)),
}


@pytest.mark.parametrize(("told", "expected"), USAGES.values(), ids=USAGES)
def test_usage_is_found_under_every_name_and_in_every_place(
        told: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    at_the_end = chunk({}, "stop", **told)
    for body in ((said("a"), said("b"), END, chunk(**told), DONE), (said("a"), said("b"), at_the_end, DONE)):
        record, _ = measured(b"".join(body))
        assert tuple(getattr(record, name) for name in COUNTS) == expected
        assert (record.outcome, record.tokens_source, list(record.chunk_tokens)) == ("ok", "server", [1, 1])


def test_usage_inside_the_last_choice_is_found() -> None:
    end = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 9, "completion_tokens": 2}}
    record, _ = measured(said("a") + said("b") + b"data: " + orjson.dumps({"choices": [end]}) + b"\n\n" + DONE)
    assert (record.input_tokens, record.output_tokens, record.chunk_tokens_known) == (9, 2, True)


def test_usage_inside_the_last_delta_is_found() -> None:
    record, _ = measured(said("a") + said("b") + chunk({"usage": {"prompt_tokens": 9, "completion_tokens": 2}}, "stop")
                         + DONE)
    assert (record.outcome, record.input_tokens, record.output_tokens) == ("ok", 9, 2)


def test_the_prompts_count_may_come_at_the_start_and_the_answers_at_the_end() -> None:
    record, _ = measured(chunk({"role": "assistant"}, usage={"prompt_tokens": 9, "completion_tokens": 0}) + said("a")
                         + chunk({}, "stop", usage={"completion_tokens": 7}) + DONE)
    assert (record.input_tokens, record.output_tokens) == (9, 7)


@pytest.mark.parametrize("value", [-1, 2.5, "x", None, True, [], {}, float("1e300")])
def test_what_is_no_count_is_left_out(value: Any) -> None:
    record, _ = measured(said("a") + END + chunk(usage={"prompt_tokens": 9, "completion_tokens": value}) + DONE)
    assert (record.input_tokens, record.output_tokens, record.tokens_source) == (9, 1, "chunks")


@pytest.mark.parametrize("count", [2**31 - 1, 2**40, 10**30, 10**9])
@pytest.mark.parametrize("choices", [1, 2])
def test_a_count_that_cannot_be_true_is_set_aside_with_a_remark(count: int, choices: int) -> None:
    texts = b"".join(chunk({"content": "a"}, "stop", index=index) for index in range(choices))
    told = b'data: {"choices": [], "usage": {"prompt_tokens": %d, "completion_tokens": %d}}\n\n' % (count, count)
    record, _ = measured(texts + told + DONE)
    assert (record.outcome, record.input_tokens, record.tokens_source) == ("ok", None, "chunks")
    assert record.output_tokens == choices == record.choices and "set aside" in (record.remark or "")
    assert to_table([record]).num_rows == 1


def test_a_count_above_both_the_bytes_and_the_limit_is_set_aside() -> None:
    told = chunk(usage={"prompt_tokens": 9, "completion_tokens": 5000})
    record, _ = measured(said("a") + END + told + DONE, output_tokens=20)
    assert (record.tokens_source, record.output_tokens) == ("chunks", 1) and "5000" in (record.remark or "")
    record, _ = measured(said("a") + END + told + DONE, output_tokens=None)
    assert (record.tokens_source, record.output_tokens) == ("server", 5000)  # it may have thought out of sight


def test_more_cached_than_input_tokens_are_left_out_with_a_remark() -> None:
    told = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 90}}
    record, _ = measured(said("a") + END + chunk(usage=told) + DONE)
    assert (record.input_tokens, record.cached_tokens) == (9, None) and "90 cached" in (record.remark or "")


# -- tokens of the chunks --


def test_a_total_that_arrives_once_says_nothing_of_its_chunk() -> None:
    record, _ = measured(said("a") + said("b", usage={"prompt_tokens": 9, "completion_tokens": 30}) + END + DONE)
    assert (list(record.chunk_tokens), record.chunk_tokens_known, record.output_tokens) == ([1, 1], False, 30)


def test_zeros_before_the_total_are_no_running_total() -> None:
    zero = {"prompt_tokens": 9, "completion_tokens": 0}
    record, _ = measured(said("a", usage=zero) + said("b", usage=zero)
                         + said("c", "stop", usage={"prompt_tokens": 9, "completion_tokens": 30}) + DONE)
    assert (list(record.chunk_tokens), record.chunk_tokens_known, record.output_tokens) == ([1, 1, 1], False, 30)


def test_the_same_total_with_every_chunk_is_no_running_total() -> None:
    told = {"prompt_tokens": 9, "completion_tokens": 30}
    record, _ = measured(said("a", usage=told) + said("b", usage=told) + END + DONE)
    assert (list(record.chunk_tokens), record.chunk_tokens_known, record.output_tokens) == ([1, 1], False, 30)


def running(total: int) -> dict[str, int]:
    return {"prompt_tokens": 9, "completion_tokens": total}


def test_a_token_without_text_under_continuous_usage_is_a_chunk() -> None:
    """Half a character comes as an empty text; the end mark counts, too. The first token is where the total grew."""
    record, _ = measured(chunk({"role": "assistant", "content": ""}, usage=running(0))
                         + said("", usage=running(1)) + said("é", usage=running(2)) + said("b", usage=running(4))
                         + chunk({}, "stop", usage=running(5)) + chunk(usage=running(5)) + DONE)
    assert list(record.chunk_tokens) == [1, 1, 2, 1] and record.chunk_tokens_known
    assert record.first_token_ns == 1010 and record.last_token_ns == 1040


def test_running_totals_of_two_choices_are_each_choices_own() -> None:
    body = b"".join(chunk({"content": "x"}, None, index, usage=running(total))
                    for index, total in ((0, 1), (1, 2), (0, 3), (1, 3)))
    record, _ = measured(body + chunk({}, "stop") + chunk({}, "stop", 1) + chunk(usage=running(6)) + DONE)
    assert (list(record.chunk_tokens), record.chunk_tokens_known, record.choices) == ([1, 2, 2, 1], True, 2)


def test_a_running_total_over_both_choices_is_understood_as_one() -> None:
    body = b"".join(chunk({"content": "x"}, None, index, usage=running(total))
                    for index, total in ((0, 1), (1, 2), (0, 4), (0, 5), (1, 6)))
    record, _ = measured(body + chunk({}, "stop") + chunk({}, "stop", 1) + chunk(usage=running(6)) + DONE)
    assert (sum(record.chunk_tokens), record.chunk_tokens_known, record.choices) == (6, True, 2)


@pytest.mark.parametrize(("outside", "known"), [(0, True), (1, True), (6, False)])
def test_running_totals_that_end_below_the_total_leave_the_chunks_unknown(outside: int, known: bool) -> None:
    """An end mark may come without a message of its own; thinking outside of the count is in some chunk or none."""
    told = [said(" a", usage={"prompt_tokens": 9, "completion_tokens": n + 1, "total_tokens": 10 + n + outside})
            for n in range(6)]
    record, _ = measured(b"".join(told) + END + DONE)
    assert (record.output_tokens, record.chunk_tokens_known) == (6 + outside, known)


def test_log_probabilities_tell_the_tokens_of_a_chunk() -> None:
    one = {"token": "a", "logprob": -0.1}
    body = b"".join(b"data: " + orjson.dumps({"choices": [{
        "index": 0, "delta": {"content": "ab"}, "logprobs": {"content": [one] * count}, "finish_reason": None}]})
        + b"\n\n" for count in (2, 3))
    record, _ = measured(body + END + DONE)
    assert (list(record.chunk_tokens), record.chunk_tokens_known) == ([2, 3], True)


def test_choices_in_one_message_are_one_chunk_of_as_many_tokens() -> None:
    both = {"choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": None} for index in (0, 1)]}
    ends = {"choices": [{"index": index, "delta": {}, "finish_reason": "stop"} for index in (0, 1)]}
    body = b"".join(b"data: " + orjson.dumps(message) + b"\n\n" for message in (both, both, ends))
    record, _ = measured(body + chunk(usage=running(4)) + DONE)
    assert (list(record.chunk_tokens), record.chunk_tokens_known, record.choices) == ([2, 2], True, 2)


# -- channels --

DELTAS: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "parts": ({"content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]}, ("answer", "xy")),
    "one part": ({"content": {"type": "text", "text": "x"}}, ("answer", "x")),
    "text with a value": ({"content": [{"type": "text", "text": {"value": "x"}}]}, ("answer", "x")),
    "thinking as a string": ({"content": [{"type": "thinking", "thinking": "x"}]}, ("reasoning", "x")),
    "reasoning as an object": ({"reasoning": {"content": "x"}}, ("reasoning", "x")),
    "a summary": ({"reasoning_details": [{"type": "reasoning.summary", "summary": "x"}]}, ("reasoning", "x")),
    "encrypted": ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "gAA"}]}, ("reasoning", "")),
    "thinking blocks": ({"thinking_blocks": [{"type": "thinking", "thinking": "x", "signature": ""}]},
                        ("reasoning", "x")),
    "the same under two names": ({"reasoning": "x", "reasoning_content": "x"}, ("reasoning", "x")),
    "refusal as a part": ({"content": [{"type": "refusal", "refusal": "No"}]}, ("answer", "No")),
    "sound without words": ({"audio": {"id": "a", "data": "UklGRg=="}}, ("answer", "")),
    "a picture": ({"images": [{"type": "image_url", "image_url": {"url": "data:,AA"}}]}, ("answer", "")),
    "arguments as an object": ({"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
                               ("tool", 'f{"a":1}')),
    "a call without its wrapping": ({"tool_calls": [{"name": "f", "arguments": "{}"}]}, ("tool", "f{}")),
    "a custom tool": ({"tool_calls": [{"type": "custom", "custom": {"name": "f", "input": "x"}}]}, ("tool", "fx")),
    "a delta that is a text": ("x", ("answer", "x")),  # type: ignore[dict-item]
}


@pytest.mark.parametrize(("delta", "expected"), DELTAS.values(), ids=DELTAS)
def test_every_channel_holds_tokens(delta: dict[str, Any], expected: tuple[str, str]) -> None:
    record, reading = measured(chunk(delta) + END + DONE)
    assert [(piece.channel, piece.text) for piece in reading.chunks] == [expected] and record.outcome == "ok"


def test_answer_and_reasoning_in_one_message_keep_both_texts() -> None:
    _, reading = measured(chunk({"content": "Hi", "reasoning_content": "hm"}) + END + DONE)
    assert (reading.said("answer"), reading.said("reasoning")) == ("Hi", "hm")


@pytest.mark.parametrize("delta", [{"role": "assistant"}, {"content": None}, {"content": []},
                                   {"audio": {"expires_at": 5}}, {"tool_calls": [None]},
                                   {"reasoning_details": []}, {"function_call": None}])
def test_a_message_without_a_token_is_no_chunk(delta: dict[str, Any]) -> None:
    record, _ = measured(chunk(delta) + said("a") + END + DONE)
    assert len(record.chunk_ns) == 1 and record.outcome == "ok"


# -- ends --

ENDS = {"abort": "stream_error", "ABORTED": "stream_error", "error": "stream_error",
        "insufficient_system_resource": "stream_error", "network_error": "stream_error", "content_filter": "blocked",
        "SAFETY": "blocked", "sensitive": "blocked", "PROHIBITED_CONTENT": "blocked", "length": "ok",
        "guardrail": "blocked", "FinishReason.SAFETY": "blocked", "engine_overloaded": "stream_error",
        "MAX_TOKENS": "ok", "eos_token": "ok", "tool_calls": "ok", "stop_sequence": "ok"}


@pytest.mark.parametrize(("reason", "outcome"), ENDS.items())
def test_an_end_that_is_a_failure_is_one(reason: str, outcome: str) -> None:
    assert measured(said("a") + chunk({}, reason) + DONE)[0].outcome == outcome
    whole = {"choices": [{"message": {"content": "a"}, "finish_reason": reason}]}
    assert measured(orjson.dumps(whole), streamed=False)[0].outcome == outcome


@pytest.mark.parametrize(("end", "words"), [
    (chunk({}, {"type": "abort", "message": "out of memory"}), "out of memory"),
    (b'data: {"choices":[{"delta":{},"error":{"message":"upstream lost"}}]}\n\n', "upstream lost"),
    (b'data: {"detail": [{"msg": "boom"}]}\n\n', "boom"),
    (b'data: {"message": "Internal server error"}\n\n', "Internal server error"),
    (b'data: {"code": 500, "msg": "boom"}\n\n', "boom"),
    (b'data: {"err_code": 1302, "err_msg": "too many requests"}\n\n', "too many requests"),
    (b'data: {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}\n\n', "rate limit"),
    (b'data: {"choices":[{"delta":{"error":{"message":"inside the delta"}}}]}\n\n', "inside the delta"),
    (b"data: Internal Server Error\n\n", "Internal Server Error"),
    (b'error: {"message": "slot lost"}\n\n', "slot lost"),
    (b'{"error": {"message": "bare line"}}\n\n', "bare line"),
    (b"event: error\ndata: gone away\n\n", "gone away"),
    (b'event: error\ndata: {"message": "gone away"}\n\n', "gone away"),
    (b'data: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n', "Overloaded"),
])
def test_an_error_inside_a_stream_keeps_its_words_and_the_tokens_before_it(end: bytes, words: str) -> None:
    record, _ = measured(said("a") + end + DONE)
    assert record.outcome == "stream_error" and words in (record.error or "") and len(record.chunk_ns) == 1


@pytest.mark.parametrize("news", [b'data: {"message": "queued", "position": 3}\n\n', b"data: processing\n\n",
                                  b'data: {"base_resp": {"status_code": 0, "status_msg": "success"}}\n\n'])
def test_news_of_how_it_is_getting_on_are_no_error_of_an_answer_that_comes_to_its_end(news: bytes) -> None:
    record, _ = measured(news + said("a") + END + DONE)
    assert (record.outcome, len(record.chunk_ns)) == ("ok", 1)


@pytest.mark.parametrize("done", [b"", DONE])
def test_an_answer_of_two_of_which_one_has_no_end_is_truncated(done: bytes) -> None:
    pieces = b"".join(chunk({"content": " a"}, index=index) for _ in range(3) for index in (0, 1))
    assert measured(pieces + END + chunk({}, "stop", index=1) + done)[0].outcome == "ok"
    assert measured(pieces + END + done)[0].outcome == "truncated"


@pytest.mark.parametrize("reason", ["null", "None"])
def test_a_reason_that_is_the_word_for_none_is_no_end(reason: str) -> None:
    assert measured(said("a", reason) + said("b", reason))[0].outcome == "truncated"
    record, _ = measured(said("a", reason) + said("b", reason) + DONE)
    assert (record.outcome, record.finish_reason) == ("ok", None)


def test_a_stream_that_nobody_asked_for_is_read() -> None:
    record, _ = measured(said("a") + said("b") + END + chunk(usage=running(2)) + DONE, streamed=False)
    assert (record.outcome, record.output_tokens, len(record.chunk_ns)) == ("ok", 2, 2)


def test_all_hidden_reasoning_is_an_answer_without_a_first_token() -> None:
    record, _ = measured(chunk({"role": "assistant", "content": ""}) + chunk({}, "length")
                         + chunk(usage={"prompt_tokens": 5, "completion_tokens": 20}) + DONE)
    assert (record.outcome, record.output_tokens, record.first_token_ns) == ("ok", 20, None)


def test_an_end_mark_alone_is_an_empty_answer() -> None:
    record, _ = measured(chunk({}, "stop", usage={"prompt_tokens": 5, "completion_tokens": 1}) + DONE)
    assert record.outcome == "empty"


# -- odd events --

ODD = [b": ping\n\n", b"data:\n\n", b"data: \n\n", b"event: ping\ndata: {\"type\": \"ping\"}\n\n", b"data: ping\n\n",
       b"event: heartbeat\ndata: {not json\n\n", b"data: null\n\n", b"data: 5\n\n", b"data: {}\n\n", b"id: 7\n\n",
       b"retry: 100\n\n", b"data: []\n\n", b'data: {"type": "ping"}\n\n', b"\n\n\n"]


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_event_costs_no_answer(odd: bytes) -> None:
    record, _ = measured(odd + said("a") + odd + said("b") + odd + END + odd + DONE + odd)
    assert (record.outcome, len(record.chunk_ns)) == ("ok", 2)


@pytest.mark.parametrize("done", [b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data: [DONE] \n\n", b'data: "[DONE]"\n\n',
                                  b"data: [done]\n\n", b"data: [DONE]\r\n\r\n", b"data: [DONE]"])
def test_every_spelling_of_the_end_mark_is_one(done: bytes) -> None:
    assert measured(said("a") + END + done)[0].outcome == "ok"


def test_a_message_that_cannot_be_read_fails_the_answer_and_costs_no_other_token() -> None:
    record, _ = measured(said("a") + b'data: {"choices": [{"ind\n\n' + said("b") + END + DONE)
    assert (record.outcome, len(record.chunk_ns)) == ("decode", 2)


def test_messages_that_a_single_line_end_parts_arrive_each_with_its_own_line() -> None:
    lines = [line.rstrip(b"\n") + b"\n" for line in (said("a"), said("b"), END, DONE)]
    _, reading = measured(b"".join(lines))
    assert [piece.end for piece in reading.chunks] == [len(lines[0]), len(lines[0] + lines[1])]


def test_a_stream_of_bare_json_lines_is_read_line_by_line() -> None:
    lines = [line.removeprefix(b"data: ").rstrip(b"\n") + b"\n" for line in (said("a"), said("b"), END)]
    record, reading = measured(b"".join(lines))
    assert [piece.end for piece in reading.chunks] == [len(lines[0]), len(lines[0] + lines[1])]
    assert record.outcome == "ok"


def test_a_byte_order_mark_and_crlf_are_read_over() -> None:
    body = (said("a") + said("b") + END + DONE).replace(b"\n", b"\r\n")
    assert len(measured(b"\xef\xbb\xbf" + body)[0].chunk_ns) == 2


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"9" * 6000, b"1e999",
                                   b'{"a":' * 2000 + b"1" + b"}" * 2000,
                                   b"[" * 5000 + b"]" * 5000, b'"\\ud83d"', b'"\xff\xfe"', b'"\x01"'])
def test_values_that_strict_json_refuses_cost_no_token(value: bytes) -> None:
    body = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}],"timings":{"x":%s}}\n\n'
    record, reading = measured(body % value + DONE)
    assert record.outcome == "ok" and reading.said("answer") == "a"
    assert unpack(pack(record)) == record and to_table([record]).num_rows == 1


@pytest.mark.parametrize(("first", "second"), [(b"\\ud83e", b"\\udd80"), (b"\xf0\x9f", b"\xa6\x80"),
                                               (b"\xf0", b"\x9f\xa6\x80")])
def test_a_character_that_is_cut_in_half_is_whole_in_the_text(first: bytes, second: bytes) -> None:
    body = b'data: {"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n'
    record, reading = measured(body % (b"x" + first) + body % (second + b"y") + END + DONE)
    assert [piece.text for piece in reading.chunks] == ["x", "🦀y"] and record.outcome == "ok"


def test_half_a_character_that_stays_alone_is_a_replacement_character() -> None:
    body = b'data: {"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":"stop"}]}\n\n'
    assert measured(body % b"a\\ud83e" + DONE)[1].said("answer") == "a\ufffd"
    assert measured(body % b"\\udd80a" + DONE)[1].said("answer") == "\ufffda"


@pytest.mark.parametrize("event", ["", "error"])
def test_a_line_without_end_that_is_no_json_is_not_tried_as_json(event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of 100 MB cost six seconds and ten copies of it."""
    monkeypatch.setattr(openai_answer, "tolerant", lambda data: pytest.fail("tried"))
    answer = openai_answer.OpenAIAnswer()
    answer.add_odd(1, b"a" * 1_000_000, event, cut=False)
    answer.settle(1)
    assert answer.reading.failure is not None and answer.reading.failure.outcome == "stream_error"
    assert answer.reading.failure.message.startswith("aaaa")


def test_a_long_message_that_only_the_tolerant_parser_reads_is_read() -> None:
    answer = openai_answer.OpenAIAnswer()
    text = "x" * 100_000
    answer.add_odd(1, b'\n\xef\xbb\xbf {"choices": [{"index": 0, "delta": {"content": "%s"}, "logprobs": NaN}]}'
                   % text.encode(), "", cut=False)
    assert [chunk.text for chunk in answer.reading.chunks] == [text]


def _told_so_far(*texts: str) -> tuple[Record, Reading]:
    messages = [{"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} for text in texts]
    messages.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return measured(b"".join(b"data: " + orjson.dumps(message) + b"\n\n" for message in messages))


def test_where_each_chunk_repeats_the_text_so_far_only_what_it_adds_is_its_text() -> None:
    record, reading = _told_so_far(" one", " one two", " one two three", " one two three four")
    assert [chunk.text for chunk in reading.chunks] == [" one", " two", " three", " four"]
    assert reading.said("answer") == " one two three four"
    assert record.outcome == "ok" and "repeats the text so far" in (reading.remark or "")


@pytest.mark.parametrize("texts", [("1", "12", "123"), ("a", "ab", "abc", "bcd"), ("a", "ab", "ab", "abc"),
                                   ("ha", "ha", "ha", "ha")])
def test_chunks_that_merely_begin_alike_are_kept_as_they_are(texts: tuple[str, ...]) -> None:
    reading = _told_so_far(*texts)[1]
    assert [chunk.text for chunk in reading.chunks] == [*texts] and reading.remark is None


WORDS = [f" word{number}" for number in range(6)]


@pytest.mark.parametrize("end", [
    chunk({"content": "".join(WORDS)}, "stop"),
    chunk({}, "stop") + chunk({"content": "".join(WORDS)}),
    orjson.dumps({"choices": [{"index": 0, "finish_reason": "stop", "delta": {}, "message": {
        "role": "assistant", "content": "".join(WORDS)}}]}).join((b"data: ", b"\n\n")),
])
def test_a_last_chunk_that_repeats_the_whole_text_is_left_out_with_a_remark(end: bytes) -> None:
    record, reading = measured(b"".join(map(said, WORDS)) + end)
    assert [piece.text for piece in reading.chunks] == WORDS and record.outcome == "ok"
    assert "repeats the whole text" in (reading.remark or "") and len(record.chunk_ns) == len(WORDS)


def test_running_totals_of_a_repetition_are_no_growth_of_a_text() -> None:
    each = b"".join(said(word, usage=running(number)) for number, word in enumerate(WORDS, 1))
    reading = measured(each + said("".join(WORDS), "stop", usage=running(12)))[1]
    assert [piece.text for piece in reading.chunks] == WORDS and reading.output_tokens == 12
    assert not reading.chunk_tokens_known


@pytest.mark.parametrize("texts", [
    [" no"] * 3 + [" no no no"], ["a", "b", "c", "d", "abcd"], [*WORDS, "".join(WORDS[:5])], ["".join(WORDS)] * 2])
def test_a_last_chunk_that_merely_is_alike_is_kept(texts: list[str]) -> None:
    reading = measured(b"".join(map(said, texts)) + chunk({}, "stop"))[1]
    assert [piece.text for piece in reading.chunks] == texts and reading.remark is None


@pytest.mark.parametrize(("middle", "texts"), [
    ("".join(WORDS[:5]), [*WORDS]), ("".join(WORDS[:5]) + " more", [*WORDS[:5], " more", WORDS[5]])])
def test_a_chunk_in_the_middle_that_repeats_the_text_so_far_adds_what_is_new(middle: str, texts: list[str]) -> None:
    body = b"".join(map(said, WORDS[:5])) + said(middle) + said(WORDS[5], "stop")
    reading = measured(body)[1]
    assert [piece.text for piece in reading.chunks] == texts and "repeat" in (reading.remark or "")


def test_an_end_under_finish_details_is_one() -> None:
    end = orjson.dumps({"choices": [{"index": 0, "delta": {}, "finish_details": {"type": "stop", "stop": "<|x|>"}}]})
    record, reading = measured(said("A") + b"data: " + end + b"\n\ndata: [DONE]\n\n")
    assert (record.outcome, reading.finish_reason) == ("ok", "stop")


@pytest.mark.parametrize("reason", ["not_finished", "FINISH_REASON_UNSPECIFIED", "unspecified"])
def test_a_reason_that_says_that_it_goes_on_is_no_end(reason: str) -> None:
    assert measured(said("A", reason) + said("B", reason))[0].outcome == "truncated"
    assert measured(said("A", reason) + said("B", "stop"))[1].finish_reason == "stop"


def test_why_groq_stopped_a_stream_early_is_an_error() -> None:
    end = chunk({}, "stop", x_groq={"id": "r", "error": "over_capacity"})
    record = measured(said("A") + end)[0]
    assert record.outcome == "stream_error" and "over_capacity" in (record.error or "")


def _endpoint() -> Any:
    return OPENAI.from_spec(EndpointSpec.model_validate({"name": "e", "protocol": "openai", "url": "http://h:1/v1"}))


@pytest.mark.parametrize("error", [
    {"message": "The response was filtered", "type": None, "param": "prompt", "code": "content_filter"},
    {"message": "Output data may be inappropriate.", "code": "data_inspection_failed"},
    {"message": "Content Exists Risk", "type": "invalid_request_error", "code": "invalid_request_error"},
    {"message": "x", "code": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}},
    {"message": "x", "type": "content_policy_violation"}])
def test_an_error_of_a_content_filter_is_blocked_with_any_status(error: dict[str, Any]) -> None:
    stopped = b"data: " + orjson.dumps({"error": error}) + b"\n\n"
    assert measured(said("A") + stopped)[0].outcome == "blocked"
    refused = Exchange("h", status=400, body=orjson.dumps({"error": error}), complete=True)
    failure = _endpoint().read(refused).failure
    assert failure is not None and failure.outcome == "blocked" and str(error["message"]) in failure.message


def test_a_whole_answer_with_an_error_status_that_a_filter_ended_is_blocked() -> None:
    body = orjson.dumps({"object": "chat.completion", "choices": [{
        "index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "content_filter",
        "content_filter_results": {"error": {"code": "content_filter", "message": "blocked by label 'x'"}}}]})
    failure = _endpoint().read(Exchange("h", status=400, body=body, complete=True)).failure
    assert failure is not None and failure.outcome == "blocked"


@pytest.mark.parametrize("message", ["the model has no filter of content", "risk"])
def test_an_error_that_merely_speaks_of_content_is_none_of_a_filter(message: str) -> None:
    body = orjson.dumps({"error": {"message": message, "code": "invalid_request_error"}})
    failure = _endpoint().read(Exchange("h", status=400, body=body, complete=True)).failure
    assert failure is not None and failure.outcome == "http_4xx"


def test_two_answers_that_are_alike_are_no_repetition() -> None:
    first = b"".join(map(said, WORDS)) + chunk({}, "stop")
    second = chunk({"content": "".join(WORDS)}, None, 1) + chunk({}, "stop", 1)
    reading = measured(first + second)[1]
    assert (reading.choices, len(reading.chunks), reading.remark) == (2, len(WORDS) + 1, None)
