"""What a server said of itself, as the JSON that a record keeps: of a bounded depth and length, whatever was sent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from fmload.base.redaction import redacted

MAX_DEPTH = 8
MAX_ITEMS = 64  # of one object or list
MAX_TEXT = 1000  # characters of one string
MAX_BYTES = 64 * 1024
_MAX_NUMBER = 1 << 63


def detail_json(detail: Mapping[str, Any]) -> str:
    """The account as it is where it is of a usual form; else cut to the limits, and left out when still too long.

    Redacted where it holds a text that a server could have filled: figures, which are most of it, cannot leak.
    """
    try:
        data = orjson.dumps(detail)
    except TypeError:  # nested too deeply, half a character, a number beyond 64 bits
        data = b""
    if not data or len(data) > MAX_BYTES:
        data = orjson.dumps(_cut(detail, 0))
    if len(data) > MAX_BYTES:
        return '{"left_out":"too long"}'
    return redacted(data.decode()) if _holds_text(detail, 0) else data.decode()


def _holds_text(value: Any, depth: int) -> bool:
    """Whether there may be a text anywhere: a value, a name that holds a secret, or what lies too deep to look at."""
    if isinstance(value, Mapping):
        return depth == MAX_DEPTH or any(
            not _is_plain(str(key)) or _holds_text(inside, depth + 1) for key, inside in value.items())
    if isinstance(value, list | tuple):
        return depth == MAX_DEPTH or any(_holds_text(inside, depth + 1) for inside in value)
    return not isinstance(value, int | float | None)


@lru_cache(1024)
def _is_plain(name: str) -> bool:
    """The names are few and come again; the secrets were told before the first answer."""
    return redacted(name) == name


def _cut(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        if depth == MAX_DEPTH:
            return None
        return {_text(key): _cut(inside, depth + 1) for key, inside in list(value.items())[:MAX_ITEMS]}
    if isinstance(value, list | tuple):
        return None if depth == MAX_DEPTH else [_cut(inside, depth + 1) for inside in value[:MAX_ITEMS]]
    if isinstance(value, bool | float) or value is None:
        return value
    if isinstance(value, int):
        return max(min(value, _MAX_NUMBER - 1), -_MAX_NUMBER)
    return _text(value)


def _text(value: object) -> str:
    return str(value)[:MAX_TEXT].encode("utf-8", "replace").decode()
