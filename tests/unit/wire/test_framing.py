"""The response parser: every framing, in whatever pieces, and nothing that is not HTTP."""

from __future__ import annotations

import gzip
import os
import random
import zlib
from array import array
from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.wire import framing
from fmload.wire.content_coding import decode_content
from fmload.wire.framing import FramingError, ResponseParser, parse_head

ROUNDS = int(os.environ.get("FMLOAD_FUZZ", "3000"))
BODY = b'data: {"a": 1}\n\ndata: 0\r\n\r\ndata: [DONE]\n\n'
CHUNKED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
           b"10\r\n" + BODY[:16] + b"\r\n" + b"%x;name=value\r\n" % (len(BODY) - 16) + BODY[16:] + b"\r\n0\r\n\r\n")
TRAILERS = CHUNKED[:-2] + b"X-Checksum: 1\r\nX-Other: 2\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + CHUNKED
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n" + BODY
FRAMED = {"chunked": CHUNKED, "trailers": TRAILERS, "length": LENGTH, "continued": CONTINUED}


def parse(pieces: list[bytes], method: str = "POST") -> tuple[ResponseParser, list[int], bool]:
    """(parser, bytes received after each piece, whether the last piece ended the message and none before did)."""
    parser, ends, ended = ResponseParser(method), [], False
    for piece in pieces:
        assert not ended, "the message was said to have ended before its last byte"
        ended = parser.feed(piece)
        ends.append(len(parser.raw))
    return parser, ends, ended


def cut(data: bytes, offsets: list[int]) -> list[bytes]:
    bounds = [0, *sorted(offset % (len(data) + 1) for offset in offsets), len(data)]
    return [data[a:b] for a, b in pairwise(bounds) if a < b]


@pytest.mark.parametrize("name", FRAMED)
def test_a_split_at_any_byte_changes_nothing(name: str) -> None:
    for at in range(1, len(FRAMED[name])):
        parser, ends, ended = parse([FRAMED[name][:at], FRAMED[name][at:]])
        assert (ended, parser.complete, parser.reusable) == (True, True, True)
        assert parser.head is not None and parser.head.status == 200
        body, lengths = parser.body(ends)
        assert body == BODY and lengths[-1] == len(BODY)


@pytest.mark.parametrize("name", FRAMED)
@given(offsets=st.lists(st.integers(0, 10_000), max_size=60))
def test_any_cut_gives_the_same_body_and_ascending_lengths(name: str, offsets: list[int]) -> None:
    parser, ends, ended = parse(cut(FRAMED[name], offsets))
    body, lengths = parser.body(ends)
    assert ended and body == BODY
    assert lengths == sorted(lengths) and lengths[-1] == len(BODY)


@pytest.mark.parametrize("name", FRAMED)
def test_byte_by_byte_the_length_counts_body_bytes_only(name: str) -> None:
    data = FRAMED[name]
    parser, ends, ended = parse([data[i:i + 1] for i in range(len(data))])
    body, lengths = parser.body(ends)
    assert ended and body == BODY
    assert [b - a for a, b in zip([0, *lengths], lengths, strict=False)].count(1) == len(BODY)


def test_a_body_without_framing_ends_with_the_connection() -> None:
    for at in range(1, len(UNTIL_CLOSE)):
        parser, ends, ended = parse([UNTIL_CLOSE[:at], UNTIL_CLOSE[at:]])
        assert not ended and parser.eof() and parser.complete and not parser.reusable
        assert parser.body(ends)[0] == BODY


@pytest.mark.parametrize("name", ["chunked", "length", "continued"])
def test_an_early_close_is_not_complete_and_keeps_what_came(name: str) -> None:
    data = FRAMED[name]
    for at in range(1, len(data)):
        parser, ends, _ = parse([data[:at]])
        assert not parser.eof() and not parser.complete and not parser.reusable
        assert BODY.startswith(parser.body(ends)[0])
    whole_first_chunk = data.index(BODY[:16]) + 16
    parser, ends, _ = parse([data[:whole_first_chunk]])
    parser.eof()
    assert parser.body(ends)[0] == BODY[:16]


def test_a_chunk_of_10_mb_comes_whole_from_reads_of_64_kb() -> None:
    payload = random.Random(1).randbytes(10 * 1024 * 1024)
    data = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(payload), payload)
    parser, ends, ended = parse([data[i:i + 65536] for i in range(0, len(data), 65536)])
    body, lengths = parser.body(ends)
    assert ended and body == payload and lengths[-1] == len(payload)


def test_bytes_after_the_end_make_the_connection_unusable() -> None:
    parser, _, ended = parse([CHUNKED[:60], CHUNKED[60:] + b"HTTP/1.1 200 OK\r\n"])
    assert not ended  # a read that cannot be told from the middle of a stream …
    assert parser.settle() and not parser.reusable  # … is found when it is looked at


@pytest.mark.parametrize(("head", "reusable"), [
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
    (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", True),
    (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", True),
])
def test_keep_alive_follows_version_and_connection_header(head: bytes, reusable: bool) -> None:
    parser, ends, ended = parse([head])
    assert ended and parser.reusable is reusable and parser.body(ends) == (b"", [0])


def test_a_response_to_head_has_no_body() -> None:
    assert parse([LENGTH[:-len(BODY)]], "HEAD")[2]


@pytest.mark.parametrize(("data", "words"), [
    (b"SSH-2.0-OpenSSH_9.6\r\n", "not an HTTP/1.x response"),
    (b"\x15\x03\x01\x00\x02\x02\x50", "not an HTTP/1.x response"),
    (b"HTTP/2 200\r\n\r\n", "not an HTTP/1.x response"),
    (b"HTTP/1.1 abc OK\r\n\r\n", "status line"),
    (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "header line"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "Content-Length"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", "larger than"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000, "headers larger than"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk size"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "chunk size"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\n", "chunk size"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n", "followed by"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffff\r\n", "larger than"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5" * 9000, "chunk size"),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "another protocol"),
])
def test_garbage_is_refused_with_its_reason(data: bytes, words: str) -> None:
    with pytest.raises(FramingError, match=words):
        parse([data])[0].settle()


def test_a_chunked_body_that_breaks_off_its_framing_is_noticed_without_its_end() -> None:
    parser = ResponseParser()
    parser.feed(CHUNKED[:60])
    with pytest.raises(FramingError):
        for _ in range(100):
            parser.feed(b"x" * 1500)


def test_a_body_without_framing_has_a_limit() -> None:
    parser = ResponseParser(max_body_bytes=1000)
    with pytest.raises(FramingError, match="larger than 1000"):
        parser.feed(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001)


@given(payload=st.binary(max_size=2000), offsets=st.lists(st.integers(0, 3000), max_size=8),
       encoding=st.sampled_from(["gzip", "deflate", "raw"]))
def test_a_compressed_body_is_undone_and_keeps_its_reads(payload: bytes, offsets: list[int], encoding: str) -> None:
    deflater = zlib.compressobj(wbits={"gzip": 31, "deflate": 15, "raw": -15}[encoding])
    packed = deflater.compress(payload) + deflater.flush()
    ends = sorted({offset % (len(packed) + 1) for offset in offsets} | {len(packed)})
    body, lengths, ended = decode_content("deflate" if encoding == "raw" else encoding, packed, ends)
    assert ended
    assert body == payload and lengths == sorted(lengths) and lengths[-1] == len(payload)


def test_a_gzip_stream_that_is_flushed_event_by_event_keeps_each_event_with_its_read() -> None:
    deflater, packed, ends = zlib.compressobj(wbits=31), b"", []
    for number in range(5):
        packed += deflater.compress(b"data: %d\n\n" % number) + deflater.flush(zlib.Z_SYNC_FLUSH)
        ends.append(len(packed))
    assert decode_content("gzip", packed, ends)[1] == [9, 18, 27, 36, 45]


@pytest.mark.parametrize("missing", [1, 8, 12])
def test_a_body_whose_coding_ends_early_has_not_ended(missing: int) -> None:
    packed = gzip.compress(b"one two three " * 9)
    body, _, ended = decode_content("gzip", packed[:-missing], [len(packed) - missing])
    assert not ended and (b"one two three " * 9).startswith(body)
    assert decode_content("gzip", b"", []).ended and decode_content("", b"x", [1]).ended



@pytest.mark.parametrize(("encoding", "body", "words"), [
    ("br", b"x", "not asked for"), ("gzip", b"plain", "cannot be decoded"),
])
def test_other_codings_and_broken_ones_are_refused(encoding: str, body: bytes, words: str) -> None:
    with pytest.raises(FramingError, match=words):
        decode_content(encoding, body, [len(body)])


def test_a_small_body_that_unpacks_beyond_the_limit_is_refused() -> None:
    deflater = zlib.compressobj(wbits=31)
    bomb = deflater.compress(bytes(50_000_000)) + deflater.flush()
    with pytest.raises(FramingError, match="larger than"):
        decode_content("gzip", bomb, [len(bomb)], max_body_bytes=1_000_000)


def by_h11(data: bytes) -> tuple[str, bytes]:
    """How h11 sees the same bytes followed by a close: ("complete" | "incomplete" | "refused", body)."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    body = b""
    try:
        connection.receive_data(data)
        closed = False
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return "complete", body
            elif event is h11.NEED_DATA and not closed:
                connection.receive_data(b"")
                closed = True
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed) or event is h11.NEED_DATA:
                return "incomplete", body
    except h11.RemoteProtocolError as error:
        return ("incomplete" if "incomplete" in str(error) or "closed" in str(error) else "refused"), body


def by_us(pieces: list[bytes]) -> tuple[str, bytes]:
    parser, ends = ResponseParser(), []
    try:
        for piece in pieces:
            ended = parser.feed(piece)
            ends.append(len(parser.raw))
            if ended:
                break
        parser.eof()
    except FramingError:
        return "refused", parser.body(ends)[0]
    return ("complete" if parser.complete else "incomplete"), parser.body(ends)[0]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """`data` with a few bytes changed, removed, doubled or cut off."""
    out = bytearray(data)
    for _ in range(chance.randrange(4)):
        if not out:
            break
        at = chance.randrange(len(out))
        kind = chance.randrange(5)
        if kind == 0:
            out[at] = chance.randrange(256)
        elif kind == 1:
            del out[at:at + chance.randrange(1, 6)]
        elif kind == 2:
            out[at:at] = chance.choice([b"\r\n", b"0", b"\n", b"\r", b"\x00", b"ffff", b": ", b"HTTP/1.1 "])
        elif kind == 3:
            out[at:at] = out[at:at + chance.randrange(1, 30)]
        else:
            del out[max(1, at):]
    return bytes(out)


def test_fuzz_the_parser_agrees_with_h11_and_never_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    chance, counts, stricter = random.Random(20), {"complete": 0, "incomplete": 0, "refused": 0}, 0
    sources = [*FRAMED.values(), UNTIL_CLOSE]
    for _ in range(ROUNDS):
        data = mutated(chance.choice(sources), chance)
        verdict, body = by_us(cut(data, [chance.randrange(len(data) + 1) for _ in range(chance.randrange(5))]))
        counts[verdict] += 1
        theirs, their_body = by_h11(data)
        if theirs == "complete" and verdict != "refused":
            assert (verdict, body) == (theirs, their_body), data
        stricter += theirs == "complete" and verdict == "refused"
    with capsys.disabled():
        print(f"\nHTTP fuzz: {sum(counts.values())} responses, {counts}; {stricter} refused that h11 takes")
    assert stricter < ROUNDS / 100  # control characters in chunk extensions and the like
    assert min(counts.values()) > ROUNDS / 40


@pytest.mark.skipif(framing.native is None, reason="NO NATIVE READER: its functions for bodies are not tested")
def test_in_c_and_in_python_every_body_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    chance, whole = random.Random(27), 0
    for _ in range(ROUNDS):
        data = mutated(chance.choice([*FRAMED.values(), UNTIL_CLOSE]), chance)
        pieces = cut(data, [chance.randrange(len(data) + 1) for _ in range(chance.randrange(5))])
        in_c = seen(pieces)
        with monkeypatch.context() as patch:
            patch.setattr(framing, "native", None)
            assert in_c == seen(pieces), data
        whole += in_c[0] is True
    assert whole > ROUNDS / 10


def seen(pieces: list[bytes]) -> tuple[object, bytes, list[int]]:
    """(whether it was complete, or what was wrong; the body; its length by each piece), looked at after each piece."""
    parser, ends, verdict = ResponseParser(max_body_bytes=5000), array("q"), object()
    try:
        for piece in pieces:
            parser.feed(piece)
            ends.append(parser.received)
            if parser.settle():
                break
        verdict = parser.eof()
    except FramingError as error:
        verdict = str(error)
    return verdict, *parser.body(ends)


@pytest.mark.skipif(framing.native is None, reason="NO NATIVE READER: its functions for bodies are not tested")
def test_spans_that_are_none_are_refused() -> None:
    for starts, ends in (((-1,), (3,)), ((2,), (1,)), ((0,), (9,)), ((0, 2), (3, 4)), ((0, 1), (1,))):
        with pytest.raises(ValueError, match="spans"):
            framing.native.joined(b"12345", array("q", starts), array("q", ends), array("q", (5,)))
    assert framing.native.whole_chunks(b"1\r\na\r\n", -5, 10) == (b"", b"", -5)
    assert framing.native.whole_chunks(b"1\r\na\r\n", 500, 10) == (b"", b"", 500)


LENGTHS = {"negative": b"-5", "absurd": b"99999999999999999", "of 5,000 digits": b"9" * 5000, "two unequal": b"5, 7",
           "a superscript": "1²".encode("latin-1"), "a sign": b"+5",
           "none": b"", "hexadecimal": b"0x5", "a comma": b"5,"}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_content_length_that_is_none_is_refused_at_once_and_leaves_no_body(name: str) -> None:
    parser = ResponseParser()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: " + LENGTHS[name] + b"\r\n\r\n"
    with pytest.raises(FramingError):
        parser.feed(head + b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n')
    assert not parser.complete and parser.body([parser.received]) == (b"", [0])


def test_equal_content_lengths_are_one() -> None:
    parser = ResponseParser()
    assert parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3, 3\r\n\r\nabc")
    assert parser.body([parser.received])[0] == b"abc"


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"chunked, chunked", b"chunked, x"])
def test_a_transfer_coding_that_was_not_asked_for_is_refused(coding: bytes) -> None:
    with pytest.raises(FramingError, match="Transfer-Encoding"):
        ResponseParser().feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + coding + b"\r\n\r\n")


def test_interim_responses_are_skipped_up_to_a_bound() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    parser = ResponseParser()
    assert parser.feed(interim * 100 + LENGTH)
    assert parser.head is not None and parser.head.status == 200
    with pytest.raises(FramingError, match="more than 100 interim"):
        ResponseParser().feed(interim * 10_000)


def test_a_header_line_with_a_carriage_return_inside_is_refused() -> None:
    with pytest.raises(FramingError, match="not a header line"):
        ResponseParser().feed(b"HTTP/1.1 200 OK\r\nx:" + b" " * 60_000 + b"\rb\r\n\r\n")


def test_trailers_may_come_byte_by_byte() -> None:
    parser = ResponseParser()
    assert [parser.feed(TRAILERS[at:at + 1]) for at in range(len(TRAILERS))] == [False] * (len(TRAILERS) - 1) + [True]
    assert parser.reusable


def test_every_member_of_a_gzip_body_is_read() -> None:
    pieces = [BODY[:20], BODY[20:25], b"", BODY[25:]]
    body = b"".join(map(gzip.compress, pieces)) + b"\0" * 7  # padding, as tape archives have it
    for read in (1, 7, 4096, len(body)):
        ends = [*range(read, len(body), read), len(body)]
        plain, lengths, _ = decode_content("gzip", body, ends)
        assert plain == BODY and lengths == sorted(lengths) and lengths[-1] == len(BODY)


def test_what_follows_a_gzip_member_and_is_none_is_refused() -> None:
    body = gzip.compress(BODY) + b"garbage"
    with pytest.raises(FramingError, match="cannot be decoded"):
        decode_content("gzip", body, [len(body)])
    many = gzip.compress(b"") * 10_001
    with pytest.raises(FramingError, match="more than 10000 members"):
        decode_content("gzip", many, [len(many)])


@pytest.mark.parametrize("fold", [b"\r\n ", b"\r\n\t \t", b"\n  "])
def test_a_header_that_goes_on_in_the_next_line_is_read_as_one(fold: bytes) -> None:
    """Obsolete; RFC 9112 (5.2) has a client replace it by a space."""
    head = parse_head(b"HTTP/1.1 200 OK\r\nX-Long: one" + fold + b"two\r\nTransfer-Encoding:" + fold + b"chunked")
    assert head.headers == {"x-long": "one two", "transfer-encoding": "chunked"}
