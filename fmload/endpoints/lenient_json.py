"""JSON as servers send it: strictly first, and what the strict parser refuses once more by a tolerant one.

Servers written in Python send NaN and Infinity; tokens that end inside a character send half of it, as an escape or
as raw bytes; a proxy's account of itself may be nested without end. None of it costs a token.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

MAX_DEPTH = 64  # what lies deeper is left out: no answer's text stands there
_MAX_DIGITS = 19  # of a whole number; a longer one is read as a float
_brackets = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL).finditer


def loads(data: bytes) -> Any:
    """The value in `data`. Raises ValueError when it is no JSON even by the tolerant reading.

    Bytes that are no UTF-8 come as the surrogates of Python's `surrogateescape`, halves of characters as lone
    surrogates: `fmload.endpoints.characters` makes characters of them.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return tolerant(data)


def tolerant(data: bytes) -> Any:
    """As `loads`, without the strict parser before it."""
    text = data.decode("utf-8", "surrogateescape").strip("\ufeff \t\r\n\0")
    try:
        return json.loads(_shallow(text), parse_int=_number, strict=False)
    except RecursionError as error:  # not reached with MAX_DEPTH; a greenlet's stack may be nearly used up
        raise ValueError("nested too deeply") from error


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _shallow(text: str) -> str:
    """The text with everything below MAX_DEPTH replaced by null."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return text
    kept: list[str] = []
    depth = begin = 0
    for match in _brackets(text):
        if match[0] in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                kept += [text[begin:match.start()], "null"]
        elif match[0] in "]}":
            depth -= 1
            if depth == MAX_DEPTH:
                begin = match.end()
    return "".join([*kept, text[begin:]]) if depth <= MAX_DEPTH else "".join(kept)
