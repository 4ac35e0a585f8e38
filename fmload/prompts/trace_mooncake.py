"""Mooncake's conversation and tool-agent traces as sessions: what begins with all blocks of an earlier request goes on
from it.

The traces name no sessions. Of several earlier requests that a request begins with, it goes on from the longest; each
is gone on from once. Only arrivals were recorded, so what lies between two requests holds the first one's answer, too:
it is replayed as a pause before the second (`slower` shortens it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fmload.prompts.files import Row
from fmload.prompts.table import tokens
from fmload.prompts.traced import TracedSession, TracedStep


def recognises(values: Mapping[str, Any]) -> bool:
    """Whether the first row is one of Mooncake's."""
    return {"timestamp", "input_length", "output_length", "hash_ids"} <= values.keys()


def sessions(rows: Sequence[Row]) -> list[TracedSession]:
    """The sessions of a file, in order of their beginning."""
    found: list[TracedSession] = []
    open_ends: dict[tuple[int, ...], TracedSession] = {}  # by the whole blocks of a session's last request
    for number, row in enumerate(sorted(rows, key=lambda row: float(row.values["timestamp"]))):
        values = row.values
        at_s, blocks = float(values["timestamp"]) / 1000, tuple(map(int, values.get("hash_ids") or ()))
        session = _goes_on(open_ends, blocks)
        if session is None:
            session = TracedSession(f"row-{number + 1}", row.where)
            found.append(session)
        last = session.steps[-1].id if session.steps else None
        session.steps.append(TracedStep(
            f"turn-{len(session.steps) + 1}", "request", at_s, at_s, after=[last] if last else [],
            input_tokens=tokens(values, "input_length"), output_tokens=tokens(values, "output_length"), blocks=blocks))
        if whole := blocks[:-1]:  # the last block may be shorter, and ends otherwise in the next request
            open_ends[whole] = session
    return found


def _goes_on(open_ends: dict[tuple[int, ...], TracedSession], blocks: tuple[int, ...]) -> TracedSession | None:
    for length in range(len(blocks), 0, -1):
        if (session := open_ends.pop(blocks[:length], None)) is not None:
            return session
    return None
