"""An agent's own log: JSONL, one step a row.

`{"session": "s1", "step": "plan", "kind": "request", "begin": 12.5, "end": 14.0, …}`: instants in seconds. `kind` is
request (the default), tool or think. `after` lists the steps that it waited for; without it, it waited for what had
ended when it began. A request has `messages` (and `answer`, a text or a message) or `input_tokens`, and
`output_tokens`; `name` and `agent` are what the report calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fmload.prompts.files import Row
from fmload.prompts.table import tokens
from fmload.prompts.traced import TracedSession, TracedStep

_KINDS = ("request", "tool", "think")


def recognises(values: Mapping[str, Any]) -> bool:
    """Whether the first row is a step of a session."""
    return {"session", "step", "begin", "end"} <= values.keys()


def sessions(rows: Sequence[Row]) -> list[TracedSession]:
    """The sessions of a file, in order of their first rows."""
    found: dict[str, TracedSession] = {}
    for row in rows:
        name = str(row.values["session"])
        found.setdefault(name, TracedSession(name, row.where)).steps.append(_step(row))
    return list(found.values())


def _step(row: Row) -> TracedStep:
    values = row.values
    kind = values.get("kind", "request")
    if kind not in _KINDS:
        raise ValueError(f"{row.where}: kind is {kind!r}, which is none of {', '.join(_KINDS)}")
    begin_s, end_s = float(values["begin"]), float(values["end"])
    if not begin_s <= end_s:
        raise ValueError(f"{row.where}: it ends ({end_s:g}) before it begins ({begin_s:g})")
    after = values.get("after")
    step = TracedStep(str(values["step"]), kind, begin_s, end_s, str(values.get("name") or values["step"]),
                      str(values.get("agent") or ""), after=[str(one) for one in after] if after is not None else None)
    if kind == "request":
        step.messages, step.answer = values.get("messages"), _message(values.get("answer"))
        if step.messages is None:
            step.input_tokens = tokens(values, "input_tokens")
        step.output_tokens = tokens(values, "output_tokens") if values.get("output_tokens") is not None else None
    return step


def _message(answer: Any) -> dict[str, Any] | None:
    return {"role": "assistant", "content": answer} if isinstance(answer, str) else answer
