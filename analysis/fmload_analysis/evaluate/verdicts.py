"""What a judge's reply says: the JSON object in it, whatever is around that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["grade", "comparison"]
_READ_CHARS = 32_768  # the verdict stands at the end of longer replies, too
_WORDS: dict[Kind, dict[str, str]] = {
    "grade": {"true": "correct", "yes": "correct", "correct": "correct",
              "false": "incorrect", "no": "incorrect", "incorrect": "incorrect"},
    "comparison": {"a": "first", "b": "second", "tie": "tie"},
}
_KEYS: dict[Kind, str] = {"grade": "correct", "comparison": "winner"}


@dataclass(frozen=True, slots=True)
class JudgeVerdict:
    """`choice` is `correct` or `incorrect` of a grade; `first`, `second` or `tie` of a comparison."""

    choice: str
    reason: str


def parse(kind: Kind, reply: str) -> JudgeVerdict | None:
    """The last verdict in a reply; None when there is none: prose is not guessed at."""
    found = None
    for entry in _objects(reply[-_READ_CHARS:]):
        choice = _WORDS[kind].get(str(entry.get(_KEYS[kind])).strip().lower())
        if choice is not None:
            found = JudgeVerdict(choice, str(entry.get("reason") or ""))
    return found


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, in order; those inside of others are left out."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            entry, end = decoder.raw_decode(text, at)
            yield entry
        except RecursionError:  # nested a thousand times: nothing that a judge was asked for
            return
        except ValueError:
            end = at + 1
        at = text.find("{", end)
