"""What a session makes of its requests, tools and pauses."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.model.record import Record
from fmload.model.session import Session, Span, covered_ns, critical_path
from fmload.worker.session_log import SessionLog

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda one: (one[0], one[0] + one[1])),
                 max_size=8)


def record(send_ns: int | None, last_ns: int | None, outcome: Any = "ok") -> Record:
    return Record("r", "w", 3, "e", "chat", "p", 0, send_ns=send_ns, last_token_ns=last_ns, end_ns=last_ns,
                  outcome=outcome)


def ended(log: SessionLog, outcome: Any = "finished") -> Session:
    session = log.ended(outcome)
    assert session is not None
    return session


@given(SPANS, st.integers(0, 40), st.integers(0, 60))
def test_time_under_several_spans_counts_once(spans: list[tuple[int, int]], begin: int, length: int) -> None:
    instants = {instant for start, end in spans for instant in range(start, end)}
    assert covered_ns(spans, begin, begin + length) == len(instants & set(range(begin, begin + length)))


def test_a_session_lasts_from_the_first_send_to_the_last_token_and_its_parts_lie_in_it() -> None:
    log = SessionLog("job", "Agent")
    for begun, last in ((100, 300), (350, 500), (360, 450)):  # the last two side by side
        log.add(record(begun, last))
    log._spans.append(Span("tool", 300, 340))
    log._spans.append(Span("think", 90, 110))
    session = ended(log)
    assert (session.begin_ns, session.end_ns, session.requests) == (100, 500, 3)
    assert (session.in_requests_ns, session.in_tools_ns, session.thinking_ns) == (350, 40, 10)
    assert (session.stage, session.endpoint, session.worker, session.user) == (3, "e", "w", "Agent")


@pytest.mark.parametrize(("outcomes", "left", "told"), [
    (("ok", "ok"), "finished", "finished"), (("ok", "http_5xx"), "finished", "failed"),
    (("ok", "censored"), "finished", "cut"), (("ok",), "cut", "cut"), (("http_5xx", "ok"), "cut", "failed"),
    (("http_5xx", "cancelled"), "finished", "failed"), (("ok", "cancelled"), "cut", "cut"),
    (("ok",), "failed", "failed")])
def test_a_session_that_loses_a_request_is_not_finished(outcomes: tuple[str, ...], left: str, told: str) -> None:
    log = SessionLog("chat")
    for outcome in outcomes:
        log.add(record(1, 2, outcome))
    assert ended(log, left).outcome == told


def test_a_session_in_which_nothing_was_sent_is_none() -> None:
    assert SessionLog("chat").ended("finished") is None


def test_a_session_whose_only_request_never_left_has_no_duration() -> None:
    log = SessionLog("chat")
    log.add(record(None, None, "connect"))
    session = ended(log)
    assert (session.begin_ns, session.end_ns, session.outcome) == (None, None, "failed")


def test_the_parts_of_the_critical_path_are_what_the_end_waited_for_and_no_more_than_the_duration() -> None:
    log = SessionLog("job")
    for begun, first, last in ((100, 130, 200), (300, 320, 500), (300, 390, 400), (520, 540, 600)):
        one = record(begun, last)
        one.first_token_ns = first
        log.add(one)
    log._spans.append(Span("tool", 210, 290))
    log._spans.append(Span("think", 505, 515))
    session = ended(log)
    assert (session.path_waiting_ns, session.path_decoding_ns) == (30 + 20 + 20, 70 + 180 + 60)
    assert (session.path_tools_ns, session.path_thinking_ns) == (80, 10)
    assert session.path_prefill_ns is None


def test_what_a_step_says_it_waited_for_is_its_way_whatever_else_ended_before_it() -> None:
    spans = [Span("request", 0, 10, "a", ()), Span("tool", 10, 50, "slow", ("a",)), Span("tool", 10, 20, "b", ("a",)),
             Span("request", 60, 70, "c", ("b",))]
    assert [span.step for span in critical_path(spans, 70)] == ["c", "b", "a"]


def test_of_those_that_a_step_waited_for_the_one_that_ended_last_is_its_way() -> None:
    spans = [Span("request", 0, 10, "a", ()), Span("tool", 10, 50, "slow", ("a",)),
             Span("request", 10, 40, "b", ("a",)), Span("request", 60, 70, "c", ("b", "slow"))]
    assert [span.step for span in critical_path(spans, 70)] == ["c", "slow", "a"]


@given(st.lists(st.tuples(st.sampled_from(["request", "tool", "think"]), st.integers(0, 60), st.integers(0, 20)),
                min_size=1, max_size=8))
def test_spans_of_a_path_lie_one_after_the_other(drawn: list[tuple[Any, int, int]]) -> None:
    spans = [Span(kind, begin, begin + length) for kind, begin, length in drawn]
    last = max((span.end_ns for span in spans if span.kind == "request"), default=0)
    path = critical_path(spans, last)
    assert all(before.end_ns <= after.begin_ns for after, before in itertools.pairwise(path))


@pytest.mark.parametrize(("told_ms", "prefill_ns"), [(0.00002, 20), (5.0, 50)])
def test_the_servers_own_prefill_is_a_part_of_the_waiting_and_never_more(told_ms: float, prefill_ns: int) -> None:
    log, one = SessionLog("job"), record(100, 200)
    one.first_token_ns, one.detail = 150, f'{{"timings": {{"prompt_ms": {told_ms}}}}}'
    log.add(one)
    session = ended(log)
    assert (session.path_waiting_ns, session.path_prefill_ns) == (50, prefill_ns)


def test_what_tools_and_thinking_took_is_told_once_by_the_request_that_comes_next() -> None:
    log = SessionLog("job")
    log._spans += [Span("tool", 0, 250_000_000), Span("tool", 0, 250_000_000), Span("think", 0, 1_000_000_000)]
    assert [log.spent(), log.spent()] == [{"tools_s": 0.5, "thinking_s": 1.0}, {}]


def test_the_longest_context_is_the_servers_count_or_else_ours() -> None:
    log = SessionLog("job")
    for told, ours in ((300, 900), (None, 700), (None, None)):
        one = record(1, 2)
        one.input_tokens, one.prompt_tokens = told, ours
        log.add(one)
    assert ended(log).context_tokens == 700
