"""The record of a request: instants, censoring, counts and outcomes, from exchanges written by hand."""

from __future__ import annotations

from array import array

import pytest
from gevent import GreenletExit
from hypothesis import given
from hypothesis import strategies as st

from fmload.base.redaction import redacted
from fmload.model.outcome import SENT_AGAIN, Failure
from fmload.model.prompt import Prompt
from fmload.model.reading import Chunk, Reading
from fmload.wire.exchange import Address, CarriesToken, Exchange, HttpRequest, ReadMark
from fmload.worker.measure import arrivals, measure, outcome

ADDRESS = Address("10.0.0.5", 8080)


class ScriptedEndpoint:
    """Sends nothing: gives the exchange and the reading that it was made with."""

    name = "scripted"
    streamed = True

    def __init__(self, exchange: Exchange, reading: Reading, killed: bool = False) -> None:
        self.exchange, self.reading, self.killed = exchange, reading, killed

    def addresses(self) -> list[Address]:
        return [ADDRESS]

    def send(self, prompt: Prompt, request_id: str, wire: ScriptedWire, address: Address) -> Exchange:
        if self.killed:
            raise GreenletExit
        return self.exchange

    def read(self, exchange: Exchange) -> Reading:
        return self.reading

    def carries_token(self, body: bytes) -> bool:
        return False


class ScriptedWire:
    """A wire that was interrupted with this exchange under way."""

    def __init__(self, interrupted: Exchange | None = None) -> None:
        self._interrupted = interrupted

    def exchange(self, address: Address, request: HttpRequest, carries_token: CarriesToken) -> Exchange:
        raise NotImplementedError

    def partial(self) -> Exchange | None:
        return self._interrupted


def timed(exchange: Exchange, reading: Reading, prompt: Prompt | None = None):
    return measure(
        ScriptedEndpoint(exchange, reading),
        prompt or Prompt("p1", "set", text="x"),
        ScriptedWire(),
        ADDRESS,
        request_id="r1",
        worker="w1",
        stage=3,
        scheduled_ns=900,
    )[0]


def good(**values) -> Exchange:
    return Exchange(
        str(ADDRESS),
        **{
            "send_ns": 1000,
            "headers_ns": 1500,
            "end_ns": 2600,
            "status": 200,
            "complete": True,
            "marks": [ReadMark(10, 2000, 5, True), ReadMark(20, 2100, 7, True), ReadMark(30, 2500, 1, True)],
            **values,
        },
    )


CHUNKS = [Chunk(10), Chunk(20), Chunk(30)]


def test_ttft_is_from_send_not_from_schedule() -> None:
    record = timed(good(), Reading(CHUNKS))
    assert (record.scheduled_ns, record.send_ns, record.first_token_ns, record.last_token_ns) == (
        900,
        1000,
        2000,
        2500,
    )
    assert (record.headers_ns, record.end_ns, record.connected_ns) == (1500, 2600, None)
    assert record.chunk_ns == array("q", [2000, 2100, 2500])


def test_a_second_sending_is_told_beside_what_else_was_strange() -> None:
    assert timed(good(), Reading(CHUNKS)).remark is None
    assert timed(good(again=True), Reading(CHUNKS)).remark == SENT_AGAIN
    assert timed(good(again=True), Reading(CHUNKS, remark="odd")).remark == f"odd; {SENT_AGAIN}"


def test_the_first_answer_token_comes_after_reasoning() -> None:
    record = timed(good(), Reading([Chunk(10, channel="reasoning"), Chunk(20, channel="tool"), Chunk(30)]))
    assert (record.first_token_ns, record.first_answer_ns) == (2000, 2500)
    assert timed(good(), Reading([Chunk(10, channel="reasoning")])).first_answer_ns is None


def test_a_read_with_several_tokens_censors_all_but_the_last() -> None:
    marks = [ReadMark(10, 100, 0, True), ReadMark(40, 200, 0, True), ReadMark(50, 300, 0, True)]
    assert arrivals([Chunk(end) for end in (10, 20, 30, 40, 50)], marks) == (
        array("q", [100, 200, 200, 200, 300]),
        array("b", [0, 1, 1, 0, 0]),
    )


def test_a_first_read_with_the_role_chunk_and_one_token_censors_nothing() -> None:
    assert arrivals([Chunk(80)], [ReadMark(0, 90, 0, True), ReadMark(100, 100, 0, True)]) == (
        array("q", [100]),
        array("b", [0]),
    )


def test_an_event_cut_across_reads_arrived_with_its_last_byte() -> None:
    marks = [ReadMark(9, 100, 0, True), ReadMark(10, 200, 0, True)]
    assert arrivals([Chunk(10)], marks)[0] == array("q", [200])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.lists(st.integers(1, 1500), min_size=1, max_size=40))
def test_arrivals_agree_with_the_definition(sizes: list[int], cuts: list[int]) -> None:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    bounds = sorted({min(cut, ends[-1]) for cut in cuts} | {ends[-1]})
    marks = [ReadMark(bound, 10 * i, 0, True) for i, bound in enumerate(bounds)]
    exchange = Exchange("", marks=marks)
    instants, censored = arrivals([Chunk(end) for end in ends], marks)
    assert list(instants) == [exchange.mark_at(end).ns for end in ends]
    later_in_same_read = [i + 1 < len(ends) and instants[i] == instants[i + 1] for i in range(len(ends))]
    assert list(map(bool, censored)) == later_in_same_read


def test_the_stamp_is_the_kernels_only_when_every_read_has_one() -> None:
    record = timed(good(), Reading(CHUNKS))
    assert (record.stamp, record.reads, record.lag_max_ns, record.lag_sum_ns) == ("kernel", 3, 7, 13)
    mixed = good(marks=[ReadMark(10, 2000, 5, True), ReadMark(30, 2500, 0, False)])
    assert timed(mixed, Reading(CHUNKS)).stamp == "user"


def test_counts_are_the_servers_or_else_the_chunks() -> None:
    told = timed(good(), Reading(CHUNKS, input_tokens=9, output_tokens=7, tokens_source="server"))
    assert (told.input_tokens, told.output_tokens, told.tokens_source) == (9, 7, "server")
    silent = timed(good(), Reading([Chunk(10, 2), Chunk(20), Chunk(30, 4)]))
    assert (silent.input_tokens, silent.output_tokens, silent.tokens_source) == (None, 7, "chunks")


def test_nothing_that_never_came_is_zero() -> None:
    failed = timed(Exchange("a", failure=Failure("connect", "refused")), Reading())
    assert failed.outcome == "connect" and failed.stamp == "user"
    for name in ("first_token_ns", "first_answer_ns", "last_token_ns", "output_tokens", "tokens_source", "status"):
        assert getattr(failed, name) is None


@pytest.mark.parametrize(
    ("exchange", "reading", "expected"),
    [
        (good(), Reading(CHUNKS), None),
        (good(), Reading(), "empty"),
        (good(failure=Failure("timeout_idle", "")), Reading(CHUNKS), "timeout_idle"),
        (good(failure=Failure("timeout_idle", "")), Reading(failure=Failure("truncated", "")), "timeout_idle"),
        (good(), Reading(CHUNKS, failure=Failure("stream_error", "")), "stream_error"),
        (good(status=429, body=b"{}"), Reading(), "throttled"),
        (good(status=503), Reading(), "http_5xx"),
        (good(status=401), Reading(), "http_4xx"),
        (good(status=307), Reading(), "http_4xx"),
        (good(status=424), Reading(failure=Failure("throttled", "ModelNotReady")), "throttled"),
    ],
)
def test_exactly_one_outcome(exchange: Exchange, reading: Reading, expected: str | None) -> None:
    failure = outcome(exchange, reading)
    assert (failure.outcome if failure else None) == expected
    assert timed(exchange, reading).outcome == (expected or "ok")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "no such model", "code": 404}}', "HTTP 404: no such model"),
        (b'{"error": "Unauthorized"}', "HTTP 404: Unauthorized"),
        (b'{"detail": [1]}', "HTTP 404: 1"),
        (b'{"object": "error", "message": "too long"}', "HTTP 404: too long"),
        (b"<html>\n nginx </html>", "HTTP 404: <html> nginx </html>"),
        (b"", "HTTP 404: Not Found"),
        (b"null", "HTTP 404: None"),
    ],
)
def test_the_servers_own_words_are_in_the_message(body: bytes, words: str) -> None:
    assert timed(good(status=404, reason="Not Found", body=body), Reading()).error == words


def test_a_killed_greenlet_leaves_a_cancelled_record() -> None:
    interrupted = good(end_ns=2200, complete=False, failure=Failure("cancelled", "stopped"))
    endpoint = ScriptedEndpoint(good(), Reading(CHUNKS[:2]), killed=True)
    record, _ = measure(
        endpoint,
        Prompt("p", "s", text="x"),
        ScriptedWire(interrupted),
        ADDRESS,
        request_id="r",
        worker="w",
        stage=0,
        scheduled_ns=0,
    )
    assert (record.outcome, record.first_token_ns, record.end_ns) == ("cancelled", 2000, 2200)


def test_a_greenlet_killed_before_it_sent_leaves_nothing() -> None:
    with pytest.raises(GreenletExit):
        measure(
            ScriptedEndpoint(good(), Reading(), killed=True),
            Prompt("p", "s", text="x"),
            ScriptedWire(),
            ADDRESS,
            request_id="r",
            worker="w",
            stage=0,
            scheduled_ns=0,
        )


@pytest.mark.parametrize(
    "secret",
    [
        "Bearer abcdef1234567890",
        "sk-proj-abcdefgh12345678",
        "hf_abcdefghijklmnop",
        "AKIAIOSFODNN7EXAMPLE",
        "X-Amz-Signature=0123456789abcdef",
        "X-Amz-Security-Token=IQoJb3JpZ2luX2Vj",
    ],
)
def test_credentials_are_blanked_out_of_errors(secret: str) -> None:
    record = timed(good(status=401, body=f"bad key: {secret} !".encode()), Reading())
    assert record.error is not None and secret.rsplit(" ", 1)[-1] not in record.error
    assert record.error == "HTTP 401: bad key: [redacted] !"


def test_plain_words_are_not_taken_for_credentials() -> None:
    text = "the task-manager said: basic usage, pk 5"
    assert redacted(text) == text


def test_what_was_asked_is_kept() -> None:
    asked = Prompt("p", "s", text="x", input_tokens=12, output_tokens=40)
    record = timed(good(), Reading(CHUNKS, detail={"timings": {"predicted_ms": 1.5}}), asked)
    assert (record.prompt_tokens, record.max_output_tokens) == (12, 40)
    assert record.detail == '{"timings":{"predicted_ms":1.5}}'
