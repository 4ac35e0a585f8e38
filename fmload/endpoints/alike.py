"""Messages of a stream that are, to the byte, one before them with another text and the next running total.

Nearly all messages of an answer are: to find that out takes a third of what it takes to parse them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from fmload.endpoints.channels import said_in
from fmload.wire.sse import Event

_COUNTS = ("completion_tokens", "total_tokens")
_PROBE_TEXT, _PROBE_TOTAL = "probe", 987_654_321


@dataclass(frozen=True, slots=True)
class Alike:
    """What such messages are made of: `before` stands before their text, `parts` behind it and around their counts,
    each of which is the running total and so much (`beyond`). `between`: where the text stands twice, what is from the
    first to the second."""

    before: bytes
    between: bytes | None
    parts: tuple[bytes, ...]
    beyond: tuple[int, ...]

    def texts(self, found: Sequence[Event], begin: int, total: int) -> list[str]:
        """The texts of the messages from place `begin` on, up to the first that is not alike, is without the next
        running total (from `total` on), or has a text that is not written as it is."""
        before, length, after, texts = self.before, len(self.before), self._after, list[str]()
        with suppress(UnicodeDecodeError):
            for place in range(begin, len(found)):
                _, event, data = found[place]
                end = data.find(b'"', length)
                written = data[length:end]
                if event or not data.startswith(before) or data[end:] != after(written, total):
                    break
                text = written.decode()
                if not text or "\\" in text or not text.isprintable():
                    break
                texts.append(text)
                total += 1
        return texts

    def made(self, text: str, total: int) -> bytes:
        """The message with this text and this running total."""
        return self.before + text.encode() + self._after(text.encode(), total)

    def _after(self, text: bytes, total: int) -> bytes:
        again = b"" if self.between is None else self.between + text
        parts, beyond = self.parts, self.beyond
        if len(beyond) == 2:
            return b"%b%b%d%b%d%b" % (again, parts[0], total + beyond[0], parts[1], total + beyond[1], parts[2])
        return b"%b%b%d%b" % (again, parts[0], total + beyond[0], parts[1]) if beyond else again + parts[0]


def like(data: bytes, message: Mapping[str, Any], total: int, names: Sequence[str]) -> Alike | None:
    """What messages have in common with this one, which has one choice, a text under one or two names, and, where it
    has counts, this running total. None where text and counts cannot be told from the rest."""
    literal = orjson.dumps(said_in(message["choices"][0])[names[0]])
    places = sorted(data.find(literal, data.find(b'"%b"' % name.encode())) for name in names)
    if places[0] < 0 or len(places) > 2:
        return None
    first, last = places[0], places[-1]
    between = data[first + len(literal) - 1:last + 1] if last > first else None
    parts, beyond = _around(_counts(message), data[last + len(literal) - 1:], total)
    found = Alike(data[:first + 1], between, parts, beyond)
    return found if _stands(found, data, total, names) else None


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


def _stands(found: Alike, data: bytes, total: int, names: Sequence[str]) -> bool:
    """Whether another text and another total come out where they were put, and nothing else is another."""
    expected = orjson.loads(data)
    said_in(expected["choices"][0]).update(dict.fromkeys(names, _PROBE_TEXT))
    for name, count in _counts(expected).items():
        expected["usage"][name] = count + _PROBE_TOTAL - total
    try:
        return bool(orjson.loads(found.made(_PROBE_TEXT, _PROBE_TOTAL)) == expected)
    except orjson.JSONDecodeError:
        return False
