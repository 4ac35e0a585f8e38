"""Which files are UTF-16: Windows' tools write it, with a byte-order mark or without."""

from __future__ import annotations

_LOOKED_AT = 4096  # bytes
_MARKS = {b"\xff\xfe": "UTF-16LE", b"\xfe\xff": "UTF-16BE"}


def utf16_of(data: bytes) -> str | None:
    """`UTF-16LE` or `UTF-16BE`, as iconv and Python name it; None for all else.

    Without a mark it is told by its zero bytes: each ASCII character has one, all of them on one side; of other
    characters few have one on the other.
    """
    if data[:2] in _MARKS:
        return _MARKS[data[:2]]
    head = data[:_LOOKED_AT]
    fewer, more = sorted(zeros := (head[::2].count(0), head[1::2].count(0)))
    if len(data) % 2 or more < 2 or more * 8 < len(head) or fewer * 4 > more:  # a quarter is ASCII, at least
        return None
    return "UTF-16BE" if zeros[0] == more else "UTF-16LE"


def save_as_utf8(kind: str) -> str:
    """The remedy for a file that should be UTF-8."""
    return f"save the file as UTF-8: iconv -f {kind} -t UTF-8 FILE > NEW"
