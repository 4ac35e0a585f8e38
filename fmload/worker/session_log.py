"""What happens in one session: its requests, tools and pauses as spans of time, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from uuid import uuid4

import orjson

from fmload.metrics.per_record import input_tokens
from fmload.model.record import Record
from fmload.model.session import Session, SessionOutcome, Span, covered_ns, critical_path


class SessionLog:
    """Kept by whoever runs the session; `ended` makes the session of it. Nothing is sent here."""

    def __init__(self, name: str, user: str = "", session: str | None = None) -> None:
        self.session = session or uuid4().hex
        self.name = name
        self.user = user
        self.steps = 0  # requests begun so far
        self._first: Record | None = None
        self._at: tuple[int, str] | None = None  # stage and endpoint
        self._requests_made = 0
        self._failed = 0
        self._cut = False
        self._over = False
        self._lost = False
        self._context: int | None = None
        self._spans: list[Span] = []
        self._told = 0  # spans of which a request has told

    def add(self, record: Record, step: str | None = None, after: tuple[str, ...] | None = None,
            made_good: bool = False, at: tuple[int, str] | None = None) -> None:
        """A request of the session has ended. `step` and `after` as a span has them; `made_good`: it failed, and is
        sent again. `at`: stage and endpoint of its user, where it went to another one: those of the session."""
        self._first = self._first or record
        self._at = self._at or at or (record.stage, record.endpoint)
        self._requests_made += 1
        cut = record.outcome in ("censored", "cancelled")
        self._cut |= cut
        self._failed += record.outcome != "ok"
        self._lost |= record.outcome != "ok" and not cut and not made_good
        tokens = input_tokens(record)
        self._context = max(filter(None, (self._context, tokens)), default=None)
        if record.send_ns is not None:
            end_ns = record.last_token_ns or record.end_ns or record.send_ns
            self._spans.append(Span("request", record.send_ns, end_ns, step, after, record.first_token_ns,
                                    prefill_ns(record)))

    @contextmanager
    def tool(self, step: str | None = None, after: tuple[str, ...] | None = None) -> Iterator[None]:
        """A tool is at work while the block runs."""
        with self._span("tool", step, after):
            yield

    @contextmanager
    def thinking(self, step: str | None = None, after: tuple[str, ...] | None = None) -> Iterator[None]:
        """Its user thinks while the block runs."""
        with self._span("think", step, after):
            yield

    def thought(self, seconds: float) -> None:
        """Its user has just thought for so long."""
        now_ns = time.monotonic_ns()
        self._spans.append(Span("think", now_ns - int(seconds * 1e9), now_ns))

    def spent(self) -> dict[str, float]:
        """Seconds in tools and thinking since this was asked last, for the note of the request that comes next."""
        new, self._told = self._spans[self._told:], len(self._spans)
        sums = {key: sum(span.end_ns - span.begin_ns for span in new if span.kind == kind) / 1e9
                for key, kind in (("tools_s", "tool"), ("thinking_s", "think"))}
        return {key: round(value, 6) for key, value in sums.items() if value}

    @contextmanager
    def _span(self, kind: Literal["tool", "think"], step: str | None, after: tuple[str, ...] | None) -> Iterator[None]:
        begun_ns = time.monotonic_ns()
        try:
            yield
        finally:
            self._spans.append(Span(kind, begun_ns, time.monotonic_ns(), step, after))

    def ended(self, outcome: SessionOutcome) -> Session | None:
        """The session, as its script left it; one that lost a request has failed, even where its stage closed first.
        None where nothing was sent in it, and where it has ended before."""
        first = self._first
        if first is None or self._at is None or self._over:
            return None
        self._over = True
        if outcome in ("finished", "cut") and (self._lost or self._cut):
            outcome = "failed" if self._lost else "cut"
        session = Session(self.session, self.name, self.user, first.worker, *self._at, first.prompt_set,
                          None, None, outcome, self._requests_made, self._failed,
                          context_tokens=self._context)
        self._measure(session)
        return session

    def _measure(self, session: Session) -> None:
        """Note how long it took and where the time went; nothing where nothing was sent."""
        requests = [span for span in self._spans if span.kind == "request"]
        if not requests:
            return
        begin_ns, end_ns = min(span.begin_ns for span in requests), max(span.end_ns for span in requests)
        session.begin_ns, session.end_ns = begin_ns, end_ns
        session.in_requests_ns, session.in_tools_ns, session.thinking_ns = (
            covered_ns([(span.begin_ns, span.end_ns) for span in self._spans if span.kind == kind], begin_ns, end_ns)
            for kind in ("request", "tool", "think"))
        for span in critical_path(self._spans, end_ns):
            if span.kind == "tool":
                session.path_tools_ns += span.end_ns - span.begin_ns
            elif span.kind == "think":
                session.path_thinking_ns += span.end_ns - span.begin_ns
            else:
                _add_request(session, span)


def _add_request(session: Session, span: Span) -> None:
    first_ns = span.end_ns if span.first_token_ns is None else min(span.first_token_ns, span.end_ns)
    session.path_waiting_ns += first_ns - span.begin_ns
    session.path_decoding_ns += span.end_ns - first_ns
    if span.prefill_ns is not None:
        session.path_prefill_ns = (session.path_prefill_ns or 0) + min(span.prefill_ns, first_ns - span.begin_ns)


def prefill_ns(record: Record) -> int | None:
    """What the server says that it spent on the prompt (llama.cpp's `timings.prompt_ms`); None where it does not."""
    if record.detail is None or "prompt_ms" not in record.detail:
        return None
    told = orjson.loads(record.detail).get("timings")
    spent_ms = told.get("prompt_ms") if isinstance(told, dict) else None
    return round(spent_ms * 1e6) if isinstance(spent_ms, int | float) and 0 <= spent_ms < 1e9 else None
