"""Session: requests that depend on each other, turns of a conversation or steps of an agent, as one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# finished: every request ended well and the session came to its end. failed: it lost a request, or its own script
# failed. cut: the stage closed, or its user was stopped, before its end.
SessionOutcome = Literal["finished", "failed", "cut"]


@dataclass(slots=True)
class Session:
    """One session as its client saw it. Instants are nanoseconds of the worker's monotonic clock.

    `begin_ns` is the first `t_send`, `end_ns` the last `t_L`; None where there is none. Each part is the time between
    them in which at least one of its kind was under way: side by side counts once.
    """

    session: str
    name: str
    user: str
    worker: str
    stage: int
    endpoint: str
    prompt_set: str
    begin_ns: int | None
    end_ns: int | None
    outcome: SessionOutcome
    requests: int
    failed: int
    in_requests_ns: int = 0
    in_tools_ns: int = 0
    thinking_ns: int = 0


def covered_ns(spans: list[tuple[int, int]], begin_ns: int, end_ns: int) -> int:
    """How much of the time between two instants lies in at least one of the spans."""
    covered, reached = 0, begin_ns
    for start, end in sorted(spans):
        start, end = max(start, reached), min(end, end_ns)
        if end > start:
            covered += end - start
            reached = end
    return covered
