"""Requests of scenarios and conversations by the name that they were given, and by turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fmload.metrics.definitions import Bools, ratio
from fmload_analysis.records.words import Words
from fmload_analysis.stage.contexts import class_name, context_class
from fmload_analysis.stage.distribution import Distribution, Wanted, of_requests
from fmload_analysis.stage.stats import finite
from fmload_analysis.stage.timeline import Requests

# Of a request in a session, seconds: to its first token, from there to its last, and tools and thinking before it.
PARTS = ("waiting", "decoding", "tools", "thinking")
MOST_TURNS = 64  # that are told one by one; the others are one row

Notes = Sequence[Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """The requests of one name and user class, or of one turn of sessions, that started inside the window.

    `turn` counts from 0; None for all turns together. Percentiles are of successes; tokens are means of them.
    """

    name: str
    user: str
    turn: int | None
    requests: int
    failed: int
    counted: int  # succeeded or failed: what the client itself stopped is neither
    ttft: Distribution
    tpot: Distribution
    e2e: Distribution
    input_tokens: float | None
    output_tokens: float | None
    parts_s: Mapping[str, float] = field(default_factory=dict)  # means of PARTS

    @property
    def error_rate(self) -> float | None:
        """Failed ÷ (failed + succeeded)."""
        return ratio(self.failed, self.counted)


def rows_of(notes: Notes | None, rows: int) -> dict[str, Any]:
    """Columns of a stage's table: what a request was called, by whom, and the turn of its session (NaN: of none)."""
    if notes is None:
        return {**{column: Words([None], np.zeros(rows, np.int8)) for column in ("task", "user")},
                **{key: np.full(rows, np.nan) for key in ("turn", "step", "goes_on")},
                **{key: np.zeros(rows) for key in ("tools_s", "thinking_s")},
                "session": np.zeros(rows, dtype=np.int64)}
    told = [note or {} for note in notes]
    names = {"task": "name", "user": "user"}
    columns = {column: Words.of(None if (text := note.get(key)) is None else str(text) for note in told)
               for column, key in names.items()}
    turns = [note.get("turn", np.nan) if note.get("session") is not None else np.nan for note in told]
    spent = {key: np.array([note.get(key, 0.0) for note in told], dtype=np.float64)
             for key in ("tools_s", "thinking_s")}
    sessions = [hash(str(session)) if (session := note.get("session")) is not None else 0 for note in told]
    return {**columns, "turn": np.array(turns, dtype=np.float64), **spent,
            "session": np.array(sessions, dtype=np.int64),
            "step": np.array([note.get("step", np.nan) for note in told], dtype=np.float64),
            "goes_on": np.array([_goes_on(note) for note in told], dtype=np.float64)}


def _goes_on(note: Mapping[str, Any]) -> float:
    """The request of its session whose prompt a request begins with: the one that it names, in a conversation the one
    before. NaN: none."""
    before = note.get("step", np.nan) - 1
    named = note.get("goes_on", before if before >= 0 else None)
    return np.nan if named is None else named


EMPTY = rows_of(None, 0)


def by_task(table: Mapping[str, Any], requests: Requests, wanted: Wanted) -> tuple[TaskSummary, ...]:
    """A summary of each name and user class, in order of their names; empty where requests have none."""
    tasks, users = table["task"], table["user"]
    named = requests.in_window & (tasks != None)  # noqa: E711
    pairs = sorted({(str(task), str(user)) for task in tasks[named].counted()
                    for user in users[named & (tasks == task)].counted()})
    return tuple(_summary(task, user, None, table, requests, named & (tasks == task) & (users == user), wanted)
                 for task, user in pairs)


def by_turn(table: Mapping[str, Any], requests: Requests, wanted: Wanted) -> tuple[TaskSummary, ...]:
    """A summary of each turn of sessions, all names together; empty where there are no sessions of several turns. The
    last row holds what comes after MOST_TURNS."""
    turns = table["turn"]
    of_session = requests.in_window & ~np.isnan(turns)
    found = np.unique(turns[of_session])
    if len(found) < 2:
        return ()
    rows = [_summary("", "", int(turn), table, requests, of_session & (turns == turn), wanted)
            for turn in found[:MOST_TURNS]]
    if len(found) > MOST_TURNS:
        rest = of_session & (turns >= found[MOST_TURNS])
        rows.append(_summary(f"{int(found[MOST_TURNS]) + 1} and later", "", None, table, requests, rest, wanted))
    return tuple(rows)


def by_context(table: Mapping[str, Any], requests: Requests, wanted: Wanted) -> tuple[TaskSummary, ...]:
    """A summary of each class of contexts, of requests in sessions; empty where there is one class."""
    tokens = requests.metrics["input_tokens"]
    of_session = requests.in_window & ~np.isnan(table["turn"]) & ~np.isnan(tokens)
    classes = np.full(len(tokens), -1)
    classes[of_session] = [context_class(each) for each in tokens[of_session]]
    found = np.unique(classes[of_session]) if of_session.any() else np.array([])
    if len(found) < 2:
        return ()
    return tuple(_summary(class_name(int(number)), "", None, table, requests, of_session & (classes == number), wanted)
                 for number in found)


def _summary(name: str, user: str, turn: int | None, table: Mapping[str, Any], requests: Requests, mine: Bools,
             wanted: Wanted) -> TaskSummary:
    good, failed = requests.succeeded & mine, int((requests.failed & mine).sum())
    ttft, tpot, e2e = (of_requests(finite(requests.metrics[metric], good), failed, wanted)
                       for metric in ("ttft", "tpot", "e2e"))
    tokens_in, tokens_out = (finite(requests.metrics[metric], good) for metric in ("input_tokens", "output_tokens"))
    return TaskSummary(name, user, turn, int(mine.sum()), failed, int(good.sum()) + failed, ttft, tpot, e2e,
                       float(tokens_in.mean()) if len(tokens_in) else None,
                       float(tokens_out.mean()) if len(tokens_out) else None, _parts_s(table, requests, good))


def _parts_s(table: Mapping[str, Any], requests: Requests, good: Bools) -> dict[str, float]:
    """Means over the successes; nothing without any. An answer that was not streamed is all waiting."""
    if not good.any():
        return {}
    e2e, ttft = requests.metrics["e2e"][good], requests.metrics["ttft"][good]
    waiting = np.where(np.isnan(ttft), e2e, ttft)
    found = dict(zip(PARTS, (waiting, e2e - waiting, table["tools_s"][good], table["thinking_s"][good]), strict=True))
    return {part: float(np.nanmean(values)) if np.isfinite(values).any() else 0.0 for part, values in found.items()}
