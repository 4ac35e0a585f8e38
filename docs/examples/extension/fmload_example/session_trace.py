"""A form of recorded sessions: a row a day, `{"day": 1, "asked": ["…", "…"]}`, a minute between two questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fmload.prompts.files import Row
from fmload.prompts.traced import TracedSession, TracedStep


def recognises(values: Mapping[str, Any]) -> bool:
    return {"day", "asked"} <= values.keys()


def sessions(rows: Sequence[Row]) -> list[TracedSession]:
    return [TracedSession(f"day {row.values['day']}", row.where, [
        TracedStep(f"q{number}", "request", 60.0 * number, 60.0 * number + 5, "question",
                   messages=[{"role": "user", "content": question}])
        for number, question in enumerate(row.values["asked"])]) for row in rows]
