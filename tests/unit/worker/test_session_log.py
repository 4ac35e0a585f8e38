"""What a session makes of its requests, tools and pauses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.model.record import Record
from fmload.model.session import Session, covered_ns
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
    log._tools.append((300, 340))
    log._pauses.append((90, 110))
    session = ended(log)
    assert (session.begin_ns, session.end_ns, session.requests) == (100, 500, 3)
    assert (session.in_requests_ns, session.in_tools_ns, session.thinking_ns) == (350, 40, 10)
    assert (session.stage, session.endpoint, session.worker, session.user) == (3, "e", "w", "Agent")


@pytest.mark.parametrize(("outcomes", "left", "told"), [
    (("ok", "ok"), "finished", "finished"), (("ok", "http_5xx"), "finished", "failed"),
    (("ok", "censored"), "finished", "cut"), (("ok",), "cut", "cut"), (("ok",), "failed", "failed")])
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
