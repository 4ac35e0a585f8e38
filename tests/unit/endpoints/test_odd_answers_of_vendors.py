"""What servers of several vendors really send beside the documented form: read right, or a failure with its reason."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from fmload.endpoints.images_answer import mismatch, read
from fmload.media import pictures
from fmload.model.reading import Expected
from fmload.wire.exchange import Exchange
from tests.spoken import spoken

WORDS = ["The", " cat", " sat", " on", " the", " mat", " and", " slept"]
PNG = pictures.image(32, 16, "png", "noise", "a")
IMAGE = base64.b64encode(PNG).decode()


def stream(*messages: Any) -> Exchange:
    body = b"".join(b"data: " + orjson.dumps(one) + b"\n\n" for one in messages)
    return Exchange("a", status=200, body=body, complete=True, headers={"content-type": "text/event-stream"})


def test_a_stream_that_repeats_the_text_so_far_holds_its_text_once() -> None:
    cumulative = [{"text_output": "".join(WORDS[:end])} for end in range(1, len(WORDS) + 1)]  # accumulate_tokens
    reading = spoken("triton").read(stream(*cumulative))
    assert (reading.failure, reading.said("answer"), len(reading.chunks)) == (None, "".join(WORDS), len(WORDS))
    assert "repeats the text so far" in str(reading.remark)


def test_more_cached_input_than_there_is_input_is_left_out() -> None:
    reading = spoken("gemini").read(stream({
        "candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "cachedContentTokenCount": 100, "candidatesTokenCount": 1}}))
    assert (reading.failure, reading.input_tokens, reading.cached_tokens) == (None, 5, None)
    assert "100 cached input tokens of 5" in str(reading.remark)


RESPONSES = ({"type": "response.created", "response": {"id": "r"}}, {"type": "codex.rate_limits", "plan": "x"},
             {"type": "response.output_text.delta", "delta": "hi"},
             {"type": "response.completed", "response": {"object": "response", "status": "completed"}})


def test_events_of_a_servers_own_between_those_of_the_protocol_are_passed_over() -> None:
    reading = spoken("responses").read(stream(*RESPONSES))
    assert (reading.failure, reading.said("answer")) == (None, "hi")
    other = spoken("responses").read(stream({"type": "message_start", "message": {}}))
    assert other.failure is not None
    assert other.failure.outcome == "decode"


@pytest.mark.parametrize(("entries", "wrong"), [
    ([{"url": "/files/a.png"}], ""), ([{"b64_json": base64.b64encode(PNG + bytes(200)).decode()}], ""),
    ([{"url": f"data:image/png;base64,{IMAGE}"}], ""), ([{"b64_json": None, "url": None}], "decode"),
    ([{"content_filter_results": {"hate": {"filtered": True}}}], "blocked"),
    ([{"error": {"code": "contentFilter", "message": "no"}}], "blocked"),
    ([{"b64_json": IMAGE, "content_filter_results": {"hate": {"filtered": False}}}], "")])
def test_entries_of_images_are_what_they_are(entries: list[Any], wrong: str) -> None:
    answer = read(Exchange("a", status=200, body=orjson.dumps({"data": entries}), complete=True, headers={}), False)
    failure = answer.failure or mismatch(answer.batch, Expected("images", 1, 1, size=(32, 16)))
    assert (failure.outcome if failure else "") == wrong
