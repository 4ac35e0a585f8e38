"""Server-sent events: what is an event, and at which byte it is complete."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.wire.sse import events

DATA = st.binary(max_size=40).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b""))


@pytest.mark.parametrize(("body", "expected"), [
    (b"data: a\n\ndata: b\n\n", [(9, "", b"a"), (18, "", b"b")]),
    (b"data:a\n\n", [(8, "", b"a")]),
    (b"data:  a\n\n", [(10, "", b" a")]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [(11, "", b"a"), (22, "", b"b")]),
    (b"data: a\r\rdata: b\r\r", [(9, "", b"a"), (18, "", b"b")]),
    (b"data: a\ndata: b\n\n", [(17, "", b"a\nb")]),
    (b": keep-alive\n\n:\n\ndata: a\n\n", [(26, "", b"a")]),
    (b": comment\ndata: a\n\n", [(19, "", b"a")]),
    (b"event: error\ndata: a\n\n", [(22, "error", b"a")]),
    (b"event: a\ndata: b\n\nevent: c\ndata: d\n", [(18, "a", b"b"), (35, "c", b"d")]),
    (b"id: 1\nretry: 5\n\ndata: a\n\n", [(25, "", b"a")]),
    (b"\xef\xbb\xbfdata: a\n\n", [(12, "", b"a")]),
    (b"data: a", [(7, "", b"a")]),
    (b"data: a\n", [(8, "", b"a")]),
    (b"data: a\r\n", [(9, "", b"a")]),
    (b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [(12, "", b"a"), (23, "", b"b")]),
    (b"data\n\n", [(6, "", b"")]),
    (b"data: a\r\n\ndata: b\n\r\n", [(10, "", b"a"), (20, "", b"b")]),
    (b'data: {"a":1}\ndata: {"b":2}\n\n', [(14, "", b'{"a":1}'), (29, "", b'{"b":2}')]),
    (b'data: {"a":1}\ndata: [DONE]\n', [(14, "", b'{"a":1}'), (27, "", b"[DONE]")]),
    (b'data: {"a":\ndata: 1}\n\n', [(22, "", b'{"a":\n1}')]),
    (b'error: {"a":1}\n\n', [(16, "error", b'{"a":1}')]),
    (b'{"error":1}\n\n', [(13, "", b'{"error":1}')]),
    (b"", []), (b"\n\n", []), (b"garbage", []),
])
def test_events_and_their_ends(body: bytes, expected: list[tuple[int, str, bytes]]) -> None:
    assert events(body) == expected


@given(data=st.lists(DATA, max_size=20), line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
       comments=st.booleans())
def test_what_is_written_is_read_whatever_the_line_end(data: list[bytes], line_end: bytes, comments: bool) -> None:
    body, expected = b"", []
    for item in data:
        if comments:
            body += b": ping" + line_end * 2
        body += b"data: " + item + line_end * 2
        expected.append((len(body), "", item))
    assert events(body) == expected


@given(data=st.lists(DATA, min_size=1, max_size=10), at=st.integers(0, 1000),
       line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_the_end_is_the_first_byte_at_which_the_event_is_known(data: list[bytes], at: int, line_end: bytes) -> None:
    """What is in a prefix of the body up to an event's end does not depend on what follows."""
    body = b"".join(b"data: " + item + line_end * 2 for item in data)
    whole = events(body)
    end = whole[at % len(whole)][0]
    assert events(body[:end]) == [event for event in whole if event[0] <= end]


def test_an_event_of_10_mb() -> None:
    data = b"x" * (10 * 1024 * 1024)
    assert events(b"data: " + data + b"\n\n") == [(len(data) + 8, "", data)]


def test_fuzz_any_bytes_give_ascending_ends_within_the_body(capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(4)
    pieces = [b"data:", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b": c", b"event: e", b"{}", b"\xff"]
    bodies = found = 0
    for _ in range(int(os.environ.get("FMLOAD_FUZZ", "3000"))):
        body = b"".join(chance.choices(pieces, k=chance.randrange(30)))
        ends = [end for end, _, _ in events(body)]
        bodies, found = bodies + 1, found + len(ends)
        assert ends == sorted(set(ends)) and all(0 < end <= len(body) for end in ends)
    with capsys.disabled():
        print(f"\nSSE fuzz: {bodies} bodies, {found} events")
