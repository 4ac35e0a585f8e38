"""Durations and sizes as people write them, and numbers as people read them."""

from __future__ import annotations

import math
import re

_LONGEST = 64  # characters of a duration or size; digits without end would be read for ever
_DURATION_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|min|m|h|d)")

DURATIONS = ("s", "s/token")  # units of metrics whose values are seconds


def parse_duration_s(text: str) -> float:
    """Seconds from `500ms`, `5s`, `1m30s`, `2h`. Raises ValueError when no unit is given or a part is unknown."""
    stripped = text.strip()
    parts = _DURATION_PART.findall(stripped) if len(stripped) <= _LONGEST else []
    if not parts or _DURATION_PART.sub("", stripped).strip():
        raise ValueError(f"'{text}' is not a duration; write a number with its unit, such as 500ms, 10s, 2m or 1h")
    return math.fsum(float(number) * _DURATION_S[unit] for number, unit in parts)


def write_duration(seconds: float) -> str:
    """Seconds as a run file has them, to the nanosecond: `90s`, `0.5s`. `parse_duration_s` reads it."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


_SIZE_BYTES = {"B": 1, "kB": 1000, "KB": 1000, "MB": 10**6, "GB": 10**9, "TB": 10**12,
               "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?i?B)")


def parse_size_bytes(text: str) -> int:
    """Bytes from `64KiB`, `1.5 GB`. Raises ValueError when no unit is given or it is unknown."""
    found = _SIZE.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if found is None or found[2] not in _SIZE_BYTES:
        raise ValueError(f"'{text}' is not a size; write a number with its unit, such as 64KiB, 500MB or 1GiB")
    return round(float(found[1]) * _SIZE_BYTES[found[2]])


def write_size(size_bytes: int) -> str:
    """Bytes in the largest unit that holds them in a whole number: `64KiB`. `parse_size_bytes` reads it."""
    units = ("TiB", "GiB", "MiB", "KiB") if size_bytes else ()
    unit = next((unit for unit in units if size_bytes % _SIZE_BYTES[unit] == 0), "B")
    return f"{size_bytes // _SIZE_BYTES[unit]}{unit}"


def format_users(users: float) -> str:
    """`1 user`, `16 users`, `2.5 users` (a mean)."""
    number = f"{users:.3g}" if users < 1000 else f"{users:.0f}"
    return f"{number} user{'' if users == 1 else 's'}"


def format_duration(seconds: float | None) -> str:
    """`12 ms`, `3.46 s`, `2 m 05 s`, `3 h 07 m`; `n/a` for None."""
    if seconds is None or math.isnan(seconds):
        return "n/a"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 2 * 3600:
        return f"{int(seconds // 60)} m {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} m"
