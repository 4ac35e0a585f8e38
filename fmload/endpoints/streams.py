"""The messages in a body: server-sent events, or one JSON object a line; or whether it is one object. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fmload.wire.sse import Event, events

PINGS = ("ping", "keepalive", "keep-alive", "heartbeat")
DONE = b"[DONE]"


def messages(body: bytes) -> Iterable[Event]:
    """(end, event, data) of every message, in order; see `fmload.wire.sse.events`."""
    return _lines(body) if body[:1] == b"{" else events(body)


def _lines(body: bytes) -> Iterator[Event]:
    end = 0
    for line in body.splitlines(keepends=True):
        end += len(line)
        if line.strip():
            yield end, "", line.strip().removeprefix(b"data:").strip()


def is_one_object(body: bytes) -> bool:
    """Whether a body is one JSON object, and not a stream of events or of one object a line."""
    if body[:1] != b"{":
        return False
    first, _, rest = body.partition(b"\n")
    return not (first.rstrip().endswith(b"}") and rest.lstrip()[:1] == b"{")
