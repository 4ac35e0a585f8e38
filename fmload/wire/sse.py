"""Server-sent events out of a finished body. Pure; see https://html.spec.whatwg.org/multipage/server-sent-events.html"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BOM = b"\xef\xbb\xbf"
# Two line ends in a row. Atomic groups, so that one CRLF is never taken for two line ends.
_blank_line = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)").finditer


def events(body: bytes) -> Iterator[tuple[int, str, bytes]]:
    """(end, event, data) of every event that carries data, in order.

    `end` is the offset in `body` at which the event was complete: just after the empty line that ends it. `event`
    is "" where the stream names none. Data of several lines is joined by newlines. Comments, `id` and `retry`
    are skipped. An event at the very end that lacks its empty line is given as well: servers forget it.
    """
    position = len(_BOM) if body.startswith(_BOM) else 0
    for end, block in _blocks(body, position):
        if block.startswith(b"data:") and b"\n" not in block and b"\r" not in block:
            yield end, "", block[6:] if block[5:6] == b" " else block[5:]
        elif block:
            event, data = _fields(block)
            if data is not None:
                yield end, event, data


def _blocks(body: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    if b"\r" in body:
        yield from _blocks_of_any_line_end(body, position)
        return
    for block in body[position:].split(b"\n\n"):
        position += len(block) + 2
        yield min(position, len(body)), block


def _blocks_of_any_line_end(body: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    for match in _blank_line(body, position):
        yield match.end(), body[position:match.start()]
        position = match.end()
    yield len(body), body[position:]


def _fields(block: bytes) -> tuple[str, bytes | None]:
    """The name and the data of a block of lines; data None when no line holds any."""
    event, data = "", []
    for line in block.splitlines():
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value.decode("utf-8", "replace")
    return event, b"\n".join(data) if data else None
