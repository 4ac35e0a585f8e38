"""Server-sent events out of a finished body. Pure; see https://html.spec.whatwg.org/multipage/server-sent-events.html"""

from __future__ import annotations

import re

_BOM = b"\xef\xbb\xbf"
# Two line ends in a row. Atomic groups, so that one CRLF is never taken for two line ends.
_blank_line = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)").finditer


def events(body: bytes) -> list[tuple[int, str, bytes]]:
    """(end, event, data) of every event that carries data, in order.

    `end` is the offset in `body` at which the event was complete: just after the empty line that ends it. `event`
    is "" where the stream names none. Data of several lines is joined by newlines. Comments, `id` and `retry`
    are skipped. An event at the very end that lacks its empty line is given as well: servers forget it.
    """
    position = len(_BOM) if body.startswith(_BOM) else 0
    if b"\r" in body:
        return _events_of_any_line_end(body, position)
    found: list[tuple[int, str, bytes]] = []
    for block in body[position:].split(b"\n\n"):
        position += len(block) + 2
        if block[:6] == b"data: " and b"\n" not in block:  # what nearly all are
            found.append((position, "", block[6:]))
        elif block:
            _add(found, min(position, len(body)), block)
    if found and found[-1][0] > len(body):  # the last one, without its empty line
        found[-1] = (len(body), *found[-1][1:])
    return found


def _events_of_any_line_end(body: bytes, position: int) -> list[tuple[int, str, bytes]]:
    found: list[tuple[int, str, bytes]] = []
    for match in _blank_line(body, position):
        _add(found, match.end(), body[position:match.start()])
        position = match.end()
    _add(found, len(body), body[position:])
    return found


def _add(found: list[tuple[int, str, bytes]], end: int, block: bytes) -> None:
    """Append the event that a block of lines makes, if any of them holds data."""
    event, data = "", []
    for line in block.splitlines():
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value.decode("utf-8", "replace")
    if data:
        found.append((end, event, b"\n".join(data)))
