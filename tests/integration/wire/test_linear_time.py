"""No input makes a parser take more than linear time: eight times the input takes about eight times as long.

The least of several tries in CPU time is compared, with room for noise; quadratic work would take 64 times as long.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator

import pytest

from fmload.endpoints.answer import Answer
from fmload.endpoints.openai_answer import read_stream
from fmload.endpoints.payloads import PayloadReader
from fmload.wire.content_coding import MAX_GZIP_MEMBERS, decode_content
from fmload.wire.eventstream import FrameError, frames
from fmload.wire.exchange import Exchange
from fmload.wire.framing import MAX_HEAD_BYTES, FramingError, ResponseParser, parse_head
from fmload.wire.sse import events

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
FACTOR, ALLOWED = 8, 24.0  # between linear and quadratic
TRIES = 5


def fed(head: bytes, rest: bytes, piece: int) -> None:
    parser = ResponseParser()
    parser.feed(head)
    try:
        for at in range(0, len(rest), piece):
            parser.feed(rest[at:at + piece])
    except FramingError:
        return
    parser.body([parser.received])


def head_of(lines: bytes) -> None:
    try:
        parse_head(b"HTTP/1.1 200 OK\r\n" + lines)
    except FramingError:
        return


def parts(count: int) -> None:
    reader = PayloadReader(Answer())
    for end in range(count):
        reader.feed(b"x" * 20, end)
    assert sum(map(len, reader._rest)) == 20 * count


def framed(body: bytes) -> None:
    with pytest.raises(FrameError):
        list(frames(body))


def every_second_text_is_escaped(count: int) -> None:
    pair = b"".join(b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n' % text
                    for text in (b"a", b"\\n"))
    assert len(read_stream(Exchange("", status=200, body=pair * count, complete=True)).chunks) == 2 * count


# name: the smaller size, and what does the work of a size
WORK: dict[str, tuple[int, Callable[[int], object]]] = {
    "spaces in a header": (6_000, lambda n: head_of(b"x:" + b" " * n + b"\rb")),
    "texts of which every second is escaped": (2_000, every_second_text_is_escaped),
    "headers of one name": (2_000, lambda n: head_of(b"x:y\r\n" * (n - 1) + b"x:y")),
    "a header that never ends, byte by byte": (7_000, lambda n: fed(b"HTTP/1.1 200 OK\r\n", b"y" * n, 1)),
    "trailers, byte by byte": (7_000, lambda n: fed(CHUNKED, b"0\r\n" + b"x: " + b"y" * n, 1)),
    "chunks, byte by byte": (2_000, lambda n: fed(CHUNKED, b"1\r\nz\r\n" * n, 1)),
    "a chunk, byte by byte": (10_000, lambda n: fed(CHUNKED, b"%x\r\n" % (n + 1) + b"z" * n, 1)),
    "interim responses": (10_000, lambda n: fed(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * n, 1 << 20)),
    "payload parts without a newline": (5_000, parts),
    "events": (5_000, lambda n: events(b"data: 1\n\n" * n)),
    "events with carriage returns": (5_000, lambda n: events(b"data: 1\r\n\r\n" * n)),
    "carriage returns alone": (5_000, lambda n: events(b"\r" * n + b"x")),
    "lines of one event": (5_000, lambda n: events(b"data: 1\n" * n)),
    "garbage for frames": (100_000, lambda n: framed(b"\1" * n)),
    "members of gzip": (MAX_GZIP_MEMBERS // 10, lambda n: gunzipped(gzip.compress(b"") * n)),
}


def gunzipped(body: bytes) -> None:
    decode_content("gzip", body, [len(body)])


def taken_s(work: Callable[[int], object], size: int) -> float:
    def tries() -> Iterator[float]:
        for _ in range(TRIES):
            begun = time.process_time()
            work(size)
            yield time.process_time() - begun
    return min(tries())


@pytest.mark.parametrize("name", WORK)
def test_time_grows_with_the_size_and_no_faster(name: str) -> None:
    size, work = WORK[name]
    small, large = taken_s(work, size), taken_s(work, FACTOR * size)
    assert large <= ALLOWED * small + 0.005, f"{size}: {small:.4f} s, {FACTOR * size}: {large:.4f} s"


def test_what_has_no_end_is_refused_before_it_costs_memory() -> None:
    parser = ResponseParser()
    with pytest.raises(FramingError, match="trailers larger"):
        parser.feed(CHUNKED + b"0\r\n" + b"x: y\r\n" * (MAX_HEAD_BYTES // 5))
