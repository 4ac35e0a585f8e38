"""Server-sent events out of a finished body. Pure; see https://html.spec.whatwg.org/multipage/server-sent-events.html

Beyond the standard, what servers do: messages that only one line end parts, a line of bare JSON in the stream, and a
field named `error`.
"""

from __future__ import annotations

import re
from itertools import accumulate, repeat

_BOM = b"\xef\xbb\xbf"
# Two line ends in a row. Atomic groups, so that one CRLF is never taken for two line ends.
_blank_line = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)").finditer
_DONE = b"[DONE]"

Event = tuple[int, str, bytes]


def events(body: bytes) -> list[Event]:
    """(end, event, data) of every event that carries data, in order.

    `end` is the offset in `body` at which the event was complete: just after the empty line that ends it. `event`
    is "" where the stream names none. Data of several lines is joined by newlines, unless each line is a message of
    its own. Comments, `id` and `retry` are skipped. An event at the very end that lacks its empty line is given as
    well: servers forget it.
    """
    if (plain := _plain_events(body)) is not None:
        return plain
    position = len(_BOM) if body.startswith(_BOM) else 0
    if b"\r" in body:
        return _events_of_any_line_end(body, position)
    found: list[Event] = []
    for block in body[position:].split(b"\n\n"):
        position += len(block) + 2
        if block[:6] == b"data: " and b"\n" not in block:  # what nearly all are
            found.append((position, "", block[6:]))
        elif block[:7] == b"event: " and (named := _named(block)) is not None:
            found.append((position, *named))
        elif block:
            _add(found, position - len(block) - 2, min(position, len(body)), block)
    if found and found[-1][0] > len(body):  # the last one, without its empty line
        found[-1] = (len(body), *found[-1][1:])
    return found


def _named(block: bytes) -> tuple[str, bytes] | None:
    """The name and the data of an event of one line each, as all events of some protocols are; None of any other."""
    name, _, data = block.partition(b"\n")
    if data[:6] != b"data: " or b"\n" in data:
        return None
    return name[7:].decode("utf-8", "replace").strip(), data[6:]


def _plain_events(body: bytes) -> list[Event] | None:
    """The events of a body that holds nothing but `data: `, one line and an empty line each, as nearly all do; None of
    any other. Of long streams this is a quarter of the general way."""
    if body[:6] != b"data: " or body[-2:] != b"\n\n" or b"\r" in body:
        return None
    messages = body[6:-2].split(b"\n\ndata: ")
    if body.count(b"\n") != 2 * len(messages):
        return None
    ends = accumulate(map(len(b"data: \n\n").__add__, map(len, messages)))
    return list(zip(ends, repeat(""), messages, strict=False))


def _events_of_any_line_end(body: bytes, position: int) -> list[Event]:
    found: list[Event] = []
    for match in _blank_line(body, position):
        _add(found, position, match.end(), body[position:match.start()])
        position = match.end()
    _add(found, position, len(body), body[position:])
    return found


def _add(found: list[Event], position: int, end: int, block: bytes) -> None:
    """Append the event that a block of lines from `position` on makes, if any of them holds data."""
    event = ""
    lines: list[Event] = []
    for line in block.splitlines(keepends=True):
        position += len(line)
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            lines.append((position, event, value))
        elif name == b"event":
            event = value.decode("utf-8", "replace").strip()
        elif name == b"error":
            lines.append((position, "error", value))
        elif name[:1] == b"{":
            lines.append((position, event, line.strip()))
    if len(lines) > 1 and all(map(_is_message, lines)):
        found += [*lines[:-1], (end, *lines[-1][1:])]
    elif lines:
        event = event or next((name for _, name, _ in lines if name), "")
        found.append((end, event, b"\n".join([data for _, _, data in lines])))


def _is_message(line: Event) -> bool:
    """Whether one line of data is a message by itself, which the next one does not go on with."""
    data = line[2].strip()
    return data == _DONE or (data[:1] == b"{" and data[-1:] == b"}")
