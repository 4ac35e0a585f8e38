"""What happens in one session: its requests, tools and pauses as spans of time, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from fmload.model.record import Record
from fmload.model.session import Session, SessionOutcome, covered_ns

Span = tuple[int, int]


class SessionLog:
    """Kept by whoever runs the session; `ended` makes the session of it. Nothing is sent here."""

    def __init__(self, name: str, user: str = "", session: str | None = None) -> None:
        self.session = session or uuid4().hex
        self.name = name
        self.user = user
        self.steps = 0  # requests begun so far
        self._first: Record | None = None
        self._requests_made = 0
        self._failed = 0
        self._cut = False
        self._over = False
        self._requests: list[Span] = []
        self._tools: list[Span] = []
        self._pauses: list[Span] = []

    def add(self, record: Record) -> None:
        """A request of the session has ended."""
        self._first = self._first or record
        self._requests_made += 1
        self._cut |= record.outcome in ("censored", "cancelled")
        self._failed += record.outcome != "ok"
        if record.send_ns is not None:
            self._requests.append((record.send_ns, record.last_token_ns or record.end_ns or record.send_ns))

    @contextmanager
    def tool(self) -> Iterator[None]:
        """A tool is at work while the block runs."""
        with _span(self._tools):
            yield

    @contextmanager
    def thinking(self) -> Iterator[None]:
        """Its user thinks while the block runs."""
        with _span(self._pauses):
            yield

    def thought(self, seconds: float) -> None:
        """Its user has just thought for so long."""
        now_ns = time.monotonic_ns()
        self._pauses.append((now_ns - int(seconds * 1e9), now_ns))

    def ended(self, outcome: SessionOutcome) -> Session | None:
        """The session, as its script left it; one that lost a request is not finished. None where nothing was sent in
        it, and where it has ended before."""
        if self._first is None or self._over:
            return None
        self._over = True
        if outcome == "finished" and self._failed:
            outcome = "cut" if self._cut else "failed"
        first = self._first
        begin_ns, end_ns = ((min(start for start, _ in self._requests), max(end for _, end in self._requests))
                            if self._requests else (None, None))
        parts = [0, 0, 0] if begin_ns is None or end_ns is None else [
            covered_ns(spans, begin_ns, end_ns) for spans in (self._requests, self._tools, self._pauses)]
        return Session(self.session, self.name, self.user, first.worker, first.stage, first.endpoint, first.prompt_set,
                       begin_ns, end_ns, outcome, self._requests_made, self._failed, *parts)


@contextmanager
def _span(into: list[Span]) -> Iterator[None]:
    begun_ns = time.monotonic_ns()
    try:
        yield
    finally:
        into.append((begun_ns, time.monotonic_ns()))
