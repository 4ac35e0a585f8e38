"""Messages of a stream that are, to the byte, one before them with another text and the next running total.

Nearly all messages of an answer are: to find that out takes a third of what it takes to parse them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from fmload.wire.sse import Event

_COUNTS = ("completion_tokens", "total_tokens")
_PROBE_TEXT, _PROBE_TOTAL = "probe", 987_654_321


@dataclass(frozen=True, slots=True)
class Alike:
    """What such messages are made of: `before` stands before their text, `parts` behind it and around their counts,
    each of which is the running total and so much (`beyond`)."""

    before: bytes
    parts: tuple[bytes, ...]
    beyond: tuple[int, ...]

    def texts(self, found: Sequence[Event], begin: int, total: int) -> list[str]:
        """The texts of the messages from place `begin` on, up to the first that is not alike, is without the next
        running total (from `total` on), or has a text that is not written as it is."""
        before, length, after, texts = self.before, len(self.before), self._after, list[str]()
        with suppress(UnicodeDecodeError):
            for _, event, data in islice(found, begin, None):
                end = data.find(b'"', length)
                if event or not data.startswith(before) or data[end:] != after(total):
                    break
                text = data[length:end].decode()
                if not text or "\\" in text or not text.isprintable():
                    break
                texts.append(text)
                total += 1
        return texts

    def made(self, text: str, total: int) -> bytes:
        """The message with this text and this running total."""
        return self.before + text.encode() + self._after(total)

    def _after(self, total: int) -> bytes:
        parts, beyond = self.parts, self.beyond
        if len(beyond) == 2:
            return b"%b%d%b%d%b" % (parts[0], total + beyond[0], parts[1], total + beyond[1], parts[2])
        return b"%b%d%b" % (parts[0], total + beyond[0], parts[1]) if beyond else parts[0]


def like(data: bytes, message: Mapping[str, Any], total: int) -> Alike | None:
    """What messages have in common with this one, which has one choice, a text, and, where it has counts, this running
    total. None where text and counts cannot be told from the rest."""
    literal = orjson.dumps(message["choices"][0]["delta"]["content"])
    at = data.find(literal, data.find(b'"content"'))
    if at < 0:
        return None
    parts, beyond = _around(_counts(message), data[at + len(literal) - 1:], total)
    found = Alike(data[:at + 1], parts, beyond)
    return found if _stands(found, data, total) else None


def _counts(message: Mapping[str, Any]) -> dict[str, int]:
    told = message.get("usage") or {}
    return {name: told[name] for name in _COUNTS if told.get(name).__class__ is int}


def _around(counts: Mapping[str, int], rest: bytes, total: int) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """The parts of the rest of a message around its counts, and what these are beyond the running total."""
    places = sorted((rest.find(b"%d" % count, rest.find(b'"%b"' % name.encode())), count)
                    for name, count in counts.items())
    parts, begin = [], 0
    for at, count in places:
        parts.append(rest[begin:at])
        begin = at + len(b"%d" % count)
    return (*parts, rest[begin:]), tuple(count - total for _, count in places)


def _stands(found: Alike, data: bytes, total: int) -> bool:
    """Whether another text and another total come out where they were put, and nothing else is another."""
    expected = orjson.loads(data)
    expected["choices"][0]["delta"]["content"] = _PROBE_TEXT
    for name, count in _counts(expected).items():
        expected["usage"][name] = count + _PROBE_TOTAL - total
    try:
        return bool(orjson.loads(found.made(_PROBE_TEXT, _PROBE_TOTAL)) == expected)
    except orjson.JSONDecodeError:
        return False
