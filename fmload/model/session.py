"""Session: requests that depend on each other, turns of a conversation or steps of an agent, as one thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# finished: every request ended well and the session came to its end. failed: it lost a request, or its own script
# failed. cut: the stage closed, or its user was stopped, before its end.
SessionOutcome = Literal["finished", "failed", "cut"]


@dataclass(slots=True)
class Session:
    """One session as its client saw it. Instants are nanoseconds of the worker's monotonic clock.

    `begin_ns` is the first `t_send`, `end_ns` the last `t_L`; None where there is none. Each part is the time between
    them in which at least one of its kind was under way: side by side counts once. The `path_` parts are those of the
    critical path, what each step waited for last, back from the last token: a request's time to its first token
    (`waiting`) and from there to its last (`decoding`), tools and thinking. What is left of the duration is the
    client's own. `path_prefill_ns` is the part of the waiting that the server says it spent on the prompts; None where
    it does not say. `context_tokens`: the longest prompt that was sent in it, as far as it is known.
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
    path_waiting_ns: int = 0
    path_decoding_ns: int = 0
    path_tools_ns: int = 0
    path_thinking_ns: int = 0
    path_prefill_ns: int | None = None
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Something under way in a session. `step` names it, `after` those that it waited for; None where nobody said: then
    it waited for what had ended last. Of a request: its first token, and what the server says of its prefill."""

    kind: Literal["request", "tool", "think"]
    begin_ns: int
    end_ns: int
    step: str | None = None
    after: tuple[str, ...] | None = None
    first_token_ns: int | None = None
    prefill_ns: int | None = None


def critical_path(spans: Sequence[Span], end_ns: int) -> list[Span]:
    """What led to the request that ended at `end_ns`, from the last to the first: before each span, of those that it
    waited for, the one that ended last. Without what lies before the first request."""
    last = next((span for span in spans if span.kind == "request" and span.end_ns == end_ns), None)
    ordered = sorted(spans, key=lambda span: (span.end_ns, span.begin_ns))
    path: list[Span] = []
    while last is not None and last not in path:
        path.append(last)
        last = _waited_for(last, ordered)
    while path and path[-1].kind != "request":
        path.pop()
    return path


def _waited_for(span: Span, ordered: Sequence[Span]) -> Span | None:
    """Of spans in order of their ends, the one for whose end a span waited."""
    if span.after is not None:
        return next((one for one in reversed(ordered) if one.step in span.after), None)
    return next((one for one in reversed(ordered) if one is not span and one.end_ns <= span.begin_ns), None)


def covered_ns(spans: list[tuple[int, int]], begin_ns: int, end_ns: int) -> int:
    """How much of the time between two instants lies in at least one of the spans."""
    covered, reached = 0, begin_ns
    for start, end in sorted(spans):
        start, end = max(start, reached), min(end, end_ns)
        if end > start:
            covered += end - start
            reached = end
    return covered
