"""Answers over a line that only keeps what it is given: shapes, faults and what the truth says of them."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

import pytest

from fmload.emulator import faults, planes
from fmload.emulator.answer import EmulatedAnswer
from fmload.emulator.engine import Job
from fmload.emulator.http import Request
from fmload.emulator.settings import Settings
from fmload.emulator.shape import Shape
from fmload.emulator.truth import Truth
from fmload.wire.eventstream import frames
from tests.kept_line import KeptLine

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def play(shape: Shape | None = None, fault: str | None = None, tokens: int = 4, path: str = "/v1/chat/completions",
         body: dict[str, Any] | None = None) -> tuple[KeptLine, Truth]:
    """One whole answer of `tokens` tokens, to a streamed chat unless `body` says otherwise."""
    shape = shape or Shape()
    body = body or {"messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": tokens,
                    "stream_options": {"include_usage": True}}
    request = Request("POST", path, {"authorization": "x"}, json.dumps(body).encode(), 0)
    plane = planes.plane_of(path)
    assert plane is not None
    opened = planes.open_request(plane, request, 0, Settings(profile=None, shape=shape))  # type: ignore[arg-type]
    line, truth, job = KeptLine(), Truth("id", 0), Job(7, tokens)
    answer = EmulatedAnswer(line, plane, opened, job, truth, shape, faults.parse(fault) if fault else None,
                    lambda index: " " + WORDS[index])
    answer.begin(0)
    for index in range(tokens):
        if line.ended is None:
            answer.token(index + 1)
    for _, call in line.timers:
        call()
    return line, truth


def deltas(line: KeptLine) -> list[dict[str, Any]]:
    return [event["choices"][0]["delta"] for event in line.events() if event != "[DONE]" and event.get("choices")]


# --- shapes ---

def test_a_stream_writes_once_a_token_and_ends_with_finish_usage_and_done() -> None:
    line, truth = play()
    assert [delta.get("content") for delta in deltas(line)] == ["", " zero", " one", " two", " three", None]
    *_, finish, usage, done = line.events()
    assert (finish["choices"][0]["finish_reason"], done) == ("length", "[DONE]")
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] == 4 and usage["usage"]["prompt_tokens"] == 7
    assert len(line.writes) == 1 + 4 + 1  # head, tokens, end
    assert (len(truth.token_ns), list(truth.token_counts), truth.output_tokens) == (4, [1, 1, 1, 1], 4)
    assert (truth.outcome, truth.status, line.complete) == ("ok", 200, True)
    assert "X-Emulator: test" in line.head and "X-Request-Id: id" in line.head


def test_the_role_comes_early_with_the_first_token_or_not_at_all() -> None:
    shapes = (Shape(role="early"), Shape(), Shape(role="none"))
    roles = {shape.role: [i for i, write in enumerate(play(shape)[0].writes) if b'"role"' in write]
             for shape in shapes}
    assert roles == {"early": [0], "with_first_token": [1], "none": []}


def test_headers_may_come_with_the_first_token() -> None:
    line, truth = play(Shape(headers="with_first_token"))
    assert truth.headers_ns is not None and truth.headers_ns <= truth.token_ns[0]
    assert len(line.writes) == 6


def test_several_tokens_share_a_chunk() -> None:
    line, truth = play(Shape(tokens_per_chunk=3, role="none"), tokens=7)
    assert [delta.get("content") for delta in deltas(line)] == [" zero one two", " three four five", " six", None]
    assert list(truth.token_counts) == [3, 3, 1]


def test_several_chunks_share_a_write() -> None:
    line, truth = play(Shape(coalesce=3, role="none"), tokens=7)
    assert len(deltas(line)) == 8
    assert list(truth.token_counts) == [3, 3, 1]


def test_the_finish_reason_may_stand_on_the_last_token() -> None:
    line, _ = play(Shape(finish="with_last_token"))
    last = [event for event in line.events() if event != "[DONE]" and event["choices"]][-1]["choices"][0]
    assert (last["delta"]["content"], last["finish_reason"]) == (" three", "length")


def test_usage_may_stand_on_the_finish_chunk() -> None:
    line, _ = play(Shape(usage="with_finish"))
    finish = line.events()[-2]
    assert finish["choices"][0]["finish_reason"] == "length" and finish["usage"]["completion_tokens"] == 4


def test_continuous_usage_counts_up() -> None:
    line, _ = play(body={"prompt": "hi", "stream": True, "max_tokens": 3, "stream_options": {
        "include_usage": True, "continuous_usage_stats": True}}, path="/v1/completions", tokens=3)
    assert [event["usage"]["completion_tokens"] for event in line.events()[:3]] == [1, 2, 3]


def test_reasoning_tokens_come_first_in_their_own_field() -> None:
    line, _ = play(Shape(reasoning_tokens=2, reasoning_field="reasoning", role="none", tokens_per_chunk=3), tokens=5)
    assert deltas(line) == [{"reasoning": " zero one"}, {"content": " two three four"}, {}]
    assert line.events()[-2]["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}


def test_a_body_may_end_with_the_connection() -> None:
    line, _ = play(Shape(framing="close"))
    assert "Transfer-Encoding" not in line.head and "Connection: close" in line.head
    assert line.events()[-1] == "[DONE]" and line.ended == {"keep_alive": False, "reset": False}


def test_the_end_mark_can_be_left_out() -> None:
    assert "[DONE]" not in play(Shape(done=False))[0].events()


def test_network_delay_moves_every_write_by_the_same_time() -> None:
    line, _ = play(Shape(delay_s=1e-6))
    assert [due for due, _ in line.timers] == [1000, 1001, 1002, 1003, 1004]
    assert line.complete


def test_comments_come_after_the_headers_and_end_with_the_first_token() -> None:
    line, _ = play(Shape(ping_s=1.0))
    assert len(line.timers) == 1 and b"keep-alive" not in line.body  # the tokens were first
    line, _ = play(Shape(ping_s=1.0, delay_s=1.0))  # fired in the order in which they were set: headers, comment
    assert line.head.startswith("HTTP/1.1 200")
    assert line.body.startswith(b": keep-alive\n\ndata:") and line.body.count(b"keep-alive") == 1


def test_an_answer_that_is_not_streamed_is_one_write() -> None:
    line, truth = play(body={"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4})
    assert len(line.writes) == 1
    answer = json.loads(line.body)
    assert answer["choices"][0]["message"]["content"] == " zero one two three"
    assert (answer["usage"]["completion_tokens"], list(truth.token_counts)) == (4, [4])


# --- faults ---

def test_cut_breaks_after_the_token_with_or_without_reset() -> None:
    for how, reset in (("rst", True), ("fin", False)):
        line, truth = play(fault=f"cut:after=2,how={how}")
        assert (line.ended, line.complete) == ({"keep_alive": False, "reset": reset}, False)
        assert (truth.output_tokens, truth.outcome, len(deltas(line))) == (2, "fault", 3)


def test_a_cut_may_fall_inside_an_event() -> None:
    line, _ = play(fault="cut:after=2,mid=1")
    assert not line.writes[-1].endswith(b"\n\n\r\n") and b"data:" in line.writes[-1]


def test_truncation_is_a_clean_end_without_finish_reason_and_end_mark() -> None:
    line, truth = play(fault="truncate:after=2")
    assert line.complete and "[DONE]" not in line.events()
    assert all(event["choices"][0]["finish_reason"] is None for event in line.events())
    assert truth.output_tokens == 2


def test_an_error_event_ends_the_stream() -> None:
    line, _ = play(fault="error:after=2,aws=overloaded")
    assert line.events()[-1]["error"]["type"] == "overloaded" and line.complete


def test_a_stall_delays_every_token_from_there_on() -> None:
    line, truth = play(fault="stall:after=2,for=1s")
    assert [due for due, _ in line.timers] == [1_000_000_003, 1_000_000_004]
    assert (truth.output_tokens, line.complete) == (4, True)


def test_slow_headers_are_late_with_everything_behind_them() -> None:
    line, _ = play(fault="slow_headers:for=1s")
    assert [due // 1_000_000_000 for due, _ in line.timers] == [1] * 5


def test_an_empty_stream_is_headers_and_a_clean_end() -> None:
    line, truth = play(fault="empty")
    assert line.body == b"" and line.complete and truth.status == 200 and not truth.token_ns


def test_garbage_stands_among_the_events_or_breaks_the_framing() -> None:
    line, _ = play(fault="garbage:after=2")
    assert line.complete and len(deltas(line)) >= 4
    line, _ = play(fault="garbage:after=2,how=raw")
    assert not line.complete


def test_a_gzip_body_decodes_to_the_plain_one() -> None:
    line, _ = play(fault="gzip")
    assert "Content-Encoding: gzip" in line.head
    decoder = zlib.decompressobj(wbits=31)
    text = decoder.decompress(line.body)
    assert decoder.eof and text.endswith(b"data: [DONE]\n\n") and text.count(b'"content"') == 5


def test_usage_lies_by_its_factor_and_the_truth_does_not() -> None:
    line, truth = play(fault="usage:factor=3")
    assert line.events()[-2]["usage"]["completion_tokens"] == 12
    assert truth.output_tokens == 4


def test_an_echo_is_counted_as_output() -> None:
    line, truth = play(fault="echo")
    assert deltas(line)[1]["content"] == "hi zero"
    assert line.events()[-2]["usage"]["completion_tokens"] == 11 and truth.output_tokens == 11


def test_a_buffered_stream_comes_at_once() -> None:
    line, truth = play(fault="buffer")
    assert list(truth.token_counts) == [4] and len(deltas(line)) == 6
    assert len(line.writes) == 3  # head, tokens, end; all in the same instant


@pytest.mark.parametrize("fault", ["cut", "truncate:after=2", "garbage:after=1", "error:after=2"])
def test_faults_of_a_stream_spoil_a_whole_answer_too(fault: str) -> None:
    line, truth = play(fault=fault, body={"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4})
    assert truth.outcome == "fault" and not truth.token_ns and line.ended is not None
    with pytest.raises((ValueError, KeyError)):
        json.loads(line.body)["choices"]


@pytest.mark.parametrize(("fault", "outcome"), [
    ("stall:after=1,for=0", "ok"), ("usage", "ok"), ("gzip", "ok"), ("cut:after=9", "ok"), ("garbage:after=4", "fault"),
    ("garbage:after=2", "fault"), ("truncate:after=4", "fault"), ("empty", "fault"), ("error:after=0", "fault")])
def test_an_answer_that_went_out_whole_is_ok_whatever_its_pace(fault: str, outcome: str) -> None:
    _, truth = play(fault=fault)
    assert (truth.outcome, truth.status) == (outcome, 200)


# --- the AWS planes ---

CONVERSE = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
TGI = {"inputs": "hi", "parameters": {"max_new_tokens": 4}, "stream": True}
SAGEMAKER = "/endpoints/e/invocations-response-stream"


def kinds(line: KeptLine) -> list[Any]:
    return [frame.headers.get(":event-type") or frame.headers.get(":exception-type")
            or frame.headers.get(":error-code") for frame in frames(line.body)]


def test_converse_stream_has_its_frames_in_order() -> None:
    line, _ = play(path="/model/m/converse-stream", body=CONVERSE)
    assert kinds(line) == ["messageStart", *["contentBlockDelta"] * 4, "contentBlockStop", "messageStop", "metadata"]


def test_converse_reasoning_has_a_block_of_its_own() -> None:
    line, _ = play(Shape(reasoning_tokens=2), path="/model/m/converse-stream", body=CONVERSE)
    payloads = [json.loads(frame.payload) for frame in frames(line.body)]
    blocks = [payload["contentBlockIndex"] for payload in payloads if "contentBlockIndex" in payload]
    assert blocks == [0, 0, 0, 1, 1, 1]


def test_a_bedrock_stream_that_is_truncated_has_no_message_stop() -> None:
    line, _ = play(path="/model/m/converse-stream", body=CONVERSE, fault="truncate:after=2")
    assert kinds(line) == ["messageStart", "contentBlockDelta", "contentBlockDelta"] and line.complete


@pytest.mark.parametrize(("fault", "last"), [("ThrottlingException:after=2", "throttlingException"),
                                             ("error:after=2", "modelStreamErrorException"),
                                             ("error:after=2,how=error,aws=Boom", "Boom")])
def test_a_bedrock_failure_is_an_exception_frame_or_an_error_frame(fault: str, last: str) -> None:
    line, _ = play(path="/model/m/converse-stream", body=CONVERSE, fault=fault)
    assert kinds(line)[-1] == last and len(kinds(line)) == 4


def test_payload_parts_split_lines_anywhere() -> None:
    line, _ = play(Shape(part_bytes=11), path=SAGEMAKER, body=TGI)
    parts = [frame.payload for frame in frames(line.body)]
    assert max(map(len, parts)) == 11
    events = [json.loads(text) for text in re.findall(r"data:(.+)\n\n", b"".join(parts).decode())]
    assert [event["token"]["text"] for event in events] == [" zero", " one", " two", " three"]
    assert events[-1]["generated_text"] == " zero one two three"
    assert events[-1]["details"]["generated_tokens"] == 4


def test_a_container_that_does_not_stream_fills_one_payload_part() -> None:
    line, truth = play(path=SAGEMAKER, body=TGI | {"stream": False})
    (frame,) = frames(line.body)
    assert json.loads(frame.payload)[0]["generated_text"] == " zero one two three"
    assert list(truth.token_counts) == [4]


@pytest.mark.parametrize(("container", "word"), [("tgi", b'"error_type"'), ("lmi", b'"finish_reason":"error"')])
def test_a_container_may_fail_in_its_own_words(container: str, word: bytes) -> None:
    line, _ = play(Shape(container=container), path=SAGEMAKER, body=TGI,  # type: ignore[arg-type]
                   fault="error:after=2,how=container")
    assert kinds(line) == ["PayloadPart"] * 3 and word in list(frames(line.body))[-1].payload


def test_a_frame_can_be_cut_in_the_middle() -> None:
    line, _ = play(path=SAGEMAKER, body=TGI, fault="cut:after=2,mid=1")
    sent = b"".join(line.writes)
    assert kinds(line) == ["PayloadPart"] * 2 and not sent.endswith(b"\r\n")
