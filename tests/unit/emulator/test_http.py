"""Requests from bytes that come in any pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.emulator.http import BadRequest, Request, RequestReader

TWO = (b"POST /model/a%3A1/converse?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
       b"GET /health HTTP/1.1\r\nX-Empty:\r\n\r\n")


def read_all(pieces: list[bytes]) -> list[Request]:
    reader, requests = RequestReader(), []
    for index, piece in enumerate(pieces):
        reader.feed(piece, index)
        while (request := reader.next()) is not None:
            requests.append(request)
    return requests


@given(st.lists(st.integers(0, len(TWO)), max_size=12))
def test_requests_are_the_same_however_they_are_split(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TWO)]
    requests = read_all([TWO[a:b] for a, b in itertools.pairwise(edges)])
    assert [(r.method, r.path, r.body) for r in requests] == [
        ("POST", "/model/a:1/converse", b"hello"), ("GET", "/health", b"")]
    assert requests[1].headers == {"x-empty": ""}


def test_a_request_is_stamped_when_its_first_bytes_came() -> None:
    assert [request.received_ns for request in read_all([TWO[:10], TWO[10:-5], TWO[-5:]])] == [0, 1]


@pytest.mark.parametrize("data", [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"x" * 70_000,
                                  b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                                  b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"])
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        read_all([data])


def test_a_client_that_waits_for_100_continue_is_noticed() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", 0)
    assert reader.next() is None
    assert reader.continue_due
