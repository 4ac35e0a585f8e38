"""An agent's own log: JSONL, one step a row.

`{"session": "s1", "step": "plan", "kind": "request", "begin": 12.5, "end": 14.0, …}`: instants in seconds. `kind` is
request (the default), tool or think. `after` lists the steps that it waited for; without it, it waited for what had
ended when it began. A request has `messages` (and `answer`, a text or a message) or `input_tokens`, and
`output_tokens`; `name` and `agent` are what the report calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fmload.base.errors import Faults, FmloadError
from fmload.prompts.files import Row
from fmload.prompts.table import tokens
from fmload.prompts.traced import TracedSession, TracedStep

_KINDS = ("request", "tool", "think")
_LATEST_S = 1e11  # in the year 5138: a larger number is no number of seconds, but of milliseconds or less
_HINT = "docs/agents.md says what each row has"


def recognises(values: Mapping[str, Any]) -> bool:
    """Whether the first row is a step of a session."""
    return {"session", "step", "begin", "end"} <= values.keys()


def sessions(rows: Sequence[Row]) -> list[TracedSession]:
    """The sessions of a file, in order of their first rows. Raises FmloadError with all rows that are no steps."""
    found: dict[str, TracedSession] = {}
    faults = Faults()
    for row in rows:
        with faults.kept():
            step = _told(row)
            name = str(row.values["session"])
            found.setdefault(name, TracedSession(name, row.where)).steps.append(step)
    faults.check()
    return list(found.values())


def _told(row: Row) -> TracedStep:
    """The step of a row. Raises FmloadError with its place."""
    try:
        return _step(row.values)
    except KeyError as error:
        raise FmloadError(f"{row.where}: has no {error}", _HINT) from error
    except ValueError as error:
        raise FmloadError(f"{row.where}: {error}", _HINT) from error


def _step(values: dict[str, Any]) -> TracedStep:
    kind = values.get("kind", "request")
    if kind not in _KINDS:
        raise ValueError(f"kind is {kind!r}, which is none of {', '.join(_KINDS)}")
    for key in ("session", "step"):
        if values[key] is None:
            raise ValueError(f"{key} is null; it must be a name")
    begin_s, end_s = _instant(values, "begin"), _instant(values, "end")
    if not begin_s <= end_s:
        raise ValueError(f"it ends ({end_s:g}) before it begins ({begin_s:g})")
    step = TracedStep(str(values["step"]), kind, begin_s, end_s, str(values.get("name") or values["step"]),
                      str(values.get("agent") or ""), after=_after(values.get("after")))
    if kind == "request":
        step.messages, step.answer = _messages(values.get("messages")), _answer(values.get("answer"))
        if step.messages is None:
            step.input_tokens = tokens(values, "input_tokens")
        step.output_tokens = tokens(values, "output_tokens") if values.get("output_tokens") is not None else None
    return step


def _instant(values: Mapping[str, Any], key: str) -> float:
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} is {value!r}; it must be a number of seconds")
    if not abs(value) <= _LATEST_S:
        raise ValueError(f"{key} is {value:g}; it must be a number of seconds: are these milliseconds?")
    return float(value)


def _after(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise ValueError(f"after is {value!r}; it must be a list of steps")
    return [str(one) for one in value]


def _messages(value: Any) -> list[dict[str, Any]] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise ValueError(f"messages is {str(value)[:60]!r}; it must be a list of chat messages")
    return [_message(one, "messages") for one in value]


def _answer(value: Any) -> dict[str, Any] | None:
    if value is None or isinstance(value, str):
        return None if value is None else {"role": "assistant", "content": value}
    return _message(value, "answer")


def _message(value: Any, key: str) -> dict[str, Any]:
    """A chat message without its nulls, which say what absence says."""
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        raise ValueError(f"{key}: {str(value)[:60]!r} is no chat message: it has a role and content")
    kept = {name: inside for name, inside in value.items() if inside is not None or name == "content"}
    if not all(map(_is_call, kept.get("tool_calls", []))):
        raise ValueError(f"{key}: tool_calls must be in OpenAI's form: id, type, and function with name and arguments")
    return {"content": None, **kept}


def _is_call(call: Any) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    return isinstance(function, dict) and isinstance(call.get("id"), str) and isinstance(function.get("name"), str)
