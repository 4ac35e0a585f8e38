"""ShareGPT's conversations as sessions: turn after turn with what was said, without instants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fmload.prompts.files import Row
from fmload.prompts.sharegpt import said_in
from fmload.prompts.traced import TracedSession, TracedStep


def recognises(values: Mapping[str, Any]) -> bool:
    """Whether the first row is a conversation."""
    return isinstance(values.get("conversations"), list)


def sessions(rows: Sequence[Row]) -> list[TracedSession]:
    """The conversations in which somebody asks something."""
    return [session for row in rows if (session := _session(row)).steps]


def _session(row: Row) -> TracedSession:
    said = said_in(row.values.get("conversations") or ())
    session = TracedSession(str(row.values.get("id") or row.where), row.where)
    for place, message in enumerate(said):
        if message["role"] == "user":
            answer = said[place + 1] if place + 1 < len(said) and said[place + 1]["role"] == "assistant" else None
            last = session.steps[-1].id if session.steps else None
            session.steps.append(TracedStep(
                f"turn-{len(session.steps) + 1}", "request", 0.0, 0.0, messages=said[:place + 1], answer=answer,
                after=[last] if last else []))
    return session
