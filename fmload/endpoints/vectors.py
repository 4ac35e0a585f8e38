"""Vectors in an answer, counted and not kept: an answer of 256 vectors is megabytes of numbers that nobody reads.

What stands between two brackets is read by itself, that there are numbers only, and how many.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np
import orjson

from fmload.base.base64_text import decoded

_NUMERIC = b"0123456789+-.eE, \t\r\n"
_BEGINS = (b"-", b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9", b"NaN", b"nan", b"null", b"Inf", b"inf")
_WORDS = frozenset(b"nanNaNnullInfinityinf")  # letters of what stands where a number should
_OTHERS = (b'"', b"{", b"n", b"t", b"f")  # one of them is in each value of JSON that is neither number nor array
_NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_FLOAT_BYTES = 4
_TOLD = 40  # characters of what is no number


class Vectors(NamedTuple):
    """A JSON body in which each array of numbers is its length below zero (`[0.1,0.2]` is `-2`). One that holds what is
    no number of JSON, such as `NaN`, `1.2.3` or nothing between two commas, is its place in `strange`, below zero and a
    half (`-0.5`, `-1.5`)."""

    skeleton: bytes
    strange: tuple[str, ...] = ()


def skeleton_of(body: bytes) -> Vectors:
    """One pass; a text with brackets of numbers in it is changed as well, and stays a text."""
    parts, at, before, strange = [], 0, 0, list[str]()
    close = body.find(b"]")
    while close >= 0:
        opened = body.rfind(b"[", before, close)
        inside = body[opened + 1:close].strip() if opened >= 0 else b""
        if inside.startswith(_BEGINS):
            length = _length(body[opened:close + 1])
            if length is not None or _is_meant_as_numbers(inside):
                parts += [body[at:opened], b"-%d.5" % len(strange) if length is None else b"-%d" % length]
                strange += [_word(inside)] if length is None else []
                at = close + 1
        before = close + 1
        close = body.find(b"]", close + 1)
    parts.append(body[at:])
    return Vectors(b"".join(parts), tuple(strange))


def _length(array: bytes) -> int | None:
    """How many numbers there are; None where there is anything else. The parser of JSON is the fastest that knows a
    number: one pass of numpy over classes of bytes takes longer."""
    if any(other in array for other in _OTHERS):
        return None
    try:
        return len(orjson.loads(array))
    except orjson.JSONDecodeError:
        return None


def _is_meant_as_numbers(inside: bytes) -> bool:
    return _WORDS.issuperset(inside.translate(None, _NUMERIC))


def _word(inside: bytes) -> str:
    """The first that is no number."""
    word = next((word for word in map(bytes.strip, inside.split(b",")) if not _is_number(word)), b"")
    return word[:_TOLD].decode("latin-1") or "nothing"


def _is_number(word: bytes) -> bool:
    return _NUMBER.fullmatch(word) is not None and math.isfinite(float(word))


def floats_of(text: str) -> list[float]:
    """A vector of 32-bit numbers in base64. Raises ValueError for what is none."""
    found: list[float] = np.frombuffer(decoded(text), "<f4").tolist()
    return found


def base64_dimension(text: str, number_bytes: int = _FLOAT_BYTES) -> int:
    """The length of a vector of numbers of so many bytes in base64. Raises ValueError for what is none."""
    data = decoded(text)
    if not data or len(data) % number_bytes:
        raise ValueError(f"{len(data)} bytes are no vector of {8 * number_bytes}-bit numbers")
    if number_bytes == _FLOAT_BYTES and not np.isfinite(np.frombuffer(data, "<f4")).all():
        raise ValueError("a vector holds NaN or infinity")
    return len(data) // number_bytes
