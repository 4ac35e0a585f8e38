"""llama.cpp with `timings_per_token`, as its server wrote it: what it told in the last message that came is its count.

The model says `aéaé…`; of é it makes two tokens, and writes both in one message.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fmload.wire.exchange import Exchange
from tests.spoken import spoken
from tests.unit.endpoints.test_answers_of_servers import measured

STREAMS = Path(__file__).parents[2] / "recorded_streams"
TEXTS, TOKENS, PROMPT = 8, [1, 2] * 4, {"completion": 7}  # of a chat the template makes 19 of the prompt
PROTOCOLS = {"chat": "openai", "completion": "llama_cpp", "responses": "responses"}


def messages(name: str) -> list[bytes]:
    """The messages of a recorded stream, each with the empty line behind it."""
    return re.findall(rb".+?\n\n", (STREAMS / f"llama_cpp-{name}.sse").read_bytes(), re.DOTALL)


def place_of_text(found: list[bytes], number: int) -> int:
    """Behind which message so many texts have come."""
    texts = [at for at, message in enumerate(found, 1) if re.search(rb'"(content|delta)":"[^"]', message)]
    return texts[number - 1]


@pytest.mark.parametrize("number", range(1, TEXTS + 1))
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_stream_that_is_cut_keeps_the_servers_count_up_to_there(name: str, number: int) -> None:
    found = messages(name)
    body = b"".join(found[:place_of_text(found, number)])
    reading = spoken(PROTOCOLS[name]).read(Exchange("http://h:1", status=200, body=body, complete=True))
    assert reading.failure is not None and reading.failure.outcome == "truncated"
    assert (reading.output_tokens, reading.tokens_source) == (sum(TOKENS[:number]), "server")
    assert reading.input_tokens == PROMPT.get(name, 19)


@pytest.mark.parametrize("name", ["chat", "completion"])
@pytest.mark.parametrize("number", [2, 5, TEXTS])
def test_the_growth_of_the_timings_tells_the_tokens_of_each_chunk(name: str, number: int) -> None:
    found = messages(name)
    for body in (b"".join(found[:place_of_text(found, number)]), b"".join(found)):
        reading = spoken(PROTOCOLS[name]).read(Exchange("http://h:1", status=200, body=body, complete=True))
        assert [chunk.tokens for chunk in reading.chunks] == TOKENS[:len(reading.chunks)]
        assert reading.chunk_tokens_known


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_stream_that_came_to_its_end_has_the_last_count(name: str) -> None:
    body = (STREAMS / f"llama_cpp-{name}.sse").read_bytes()
    reading = spoken(PROTOCOLS[name]).read(Exchange("http://h:1", status=200, body=body, complete=True))
    assert (reading.failure, reading.output_tokens, reading.tokens_source) == (None, sum(TOKENS), "server")


@pytest.mark.parametrize("number", range(2, TEXTS + 1))
def test_of_two_choices_that_are_cut_the_counts_of_both_are_added(number: int) -> None:
    """They come in turn, `a` of both first: 1, 1, 3, 3, 4, 4, 6, 6 are told, and the prompt is one."""
    found = messages("two-choices")
    record, _ = measured(b"".join(found[:place_of_text(found, number)]))
    each = [TOKENS[:(number + 1) // 2], TOKENS[:number // 2]]
    assert (record.outcome, record.tokens_source) == ("truncated", "server")
    assert (record.output_tokens, record.input_tokens) == (sum(map(sum, each)), 19)


def test_of_two_choices_without_usage_the_counts_of_both_are_added_at_their_end() -> None:
    record, _ = measured(b"".join(messages("two-choices")))
    assert (record.outcome, record.output_tokens, record.input_tokens, record.choices) == ("ok", 12, 19, 2)


def test_the_timings_of_a_stream_that_is_cut_are_kept_as_they_last_came() -> None:
    found = messages("chat")
    record, _ = measured(b"".join(found[:place_of_text(found, 5)]))
    assert record.detail is not None and '"predicted_n":7' in record.detail
