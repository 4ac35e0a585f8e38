"""Vectors in an answer, counted and not parsed: an answer of 256 vectors is megabytes of numbers that nobody reads.

What stands between the brackets is looked at as bytes: that there are numbers only, and how many.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fmload.base.base64_text import decoded

_NUMERIC = b"0123456789+-.eE, \t\r\n"
_BEGINS = (b"-", b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9", b"NaN", b"nan", b"null", b"Inf", b"inf")
_WORDS = frozenset(b"nanNaNnullInfinityinf")  # letters of what stands where a number should
_FLOAT_BYTES = 4
_COMMA = ord(",")
_BLANKS = (b" ", b"\n", b"\t", b"\r")


class Vectors(NamedTuple):
    """A JSON body in which each array of numbers is its length below zero (`[0.1,0.2]` is `-2`). One that holds what is
    no number, such as `NaN` or nothing between two commas, is its place in `strange`, below zero and a half (`-0.5`,
    `-1.5`)."""

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
            left = inside.translate(None, _NUMERIC)
            if not left or _WORDS.issuperset(left):
                length = None if left else _length(inside)
                parts += [body[at:opened], b"-%d.5" % len(strange) if length is None else b"-%d" % length]
                strange += [_word(inside)] if length is None else []
                at = close + 1
        before = close + 1
        close = body.find(b"]", close + 1)
    parts.append(body[at:])
    return Vectors(b"".join(parts), tuple(strange))


def _length(inside: bytes) -> int | None:
    """How many numbers there are; None where nothing stands before, between or behind commas. Numpy counts what is
    there often five times as fast as `bytes.count`."""
    if any(blank in inside for blank in _BLANKS):
        inside = inside.translate(None, b"".join(_BLANKS))
    commas = np.frombuffer(inside, np.uint8) == _COMMA
    if commas[0] or commas[-1] or (commas[1:] & commas[:-1]).any():
        return None
    return int(np.count_nonzero(commas)) + 1


def _word(inside: bytes) -> str:
    """The first that is no number."""
    return next((word.decode("latin-1") or "nothing" for word in map(bytes.strip, inside.split(b","))
                 if not word or word.translate(None, _NUMERIC)), "")


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
