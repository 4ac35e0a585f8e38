"""The frame decoder: agreement with botocore's on any frames cut anywhere, both checksums, offsets."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer, InvalidHeadersLength
from hypothesis import given
from hypothesis import strategies as st

from fmload.wire.eventstream import Frame, FrameError, HeaderValue, frames

_integers = {2: "b", 3: "h", 4: "i", 5: "q", 8: "q"}


def _signed(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)


# (type byte, value) of every header type.
_values = st.one_of(
    st.sampled_from([(0, True), (1, False)]),
    *(st.tuples(st.just(kind), _signed(8 * struct.calcsize("!" + code))) for kind, code in _integers.items()),
    st.tuples(st.just(6), st.binary(max_size=300)),
    st.tuples(st.just(7), st.text(max_size=100)),
    st.tuples(st.just(9), st.binary(min_size=16, max_size=16)),
)
_names = st.text(min_size=1, max_size=40).filter(lambda name: 0 < len(name.encode()) < 256)
_frames = st.lists(st.tuples(st.dictionaries(_names, _values, max_size=5), st.binary(max_size=500)), max_size=6)


def _header(name: str, kind: int, value: HeaderValue) -> bytes:
    if kind in _integers:
        data = struct.pack("!" + _integers[kind], value)
    elif kind in (6, 7):
        raw = value.encode() if isinstance(value, str) else bytes(value)
        data = struct.pack("!H", len(raw)) + raw
    else:
        data = value if isinstance(value, bytes) else b""
    return bytes([len(name.encode())]) + name.encode() + bytes([kind]) + data


def _encode(headers: dict[str, tuple[int, HeaderValue]], payload: bytes) -> bytes:
    block = b"".join(_header(name, kind, value) for name, (kind, value) in headers.items())
    prelude = struct.pack("!II", 16 + len(block) + len(payload), len(block))
    message = prelude + struct.pack("!I", crc32(prelude)) + block + payload
    return message + struct.pack("!I", crc32(message))


def _by_botocore(pieces: list[bytes]) -> list[tuple[dict[str, HeaderValue], bytes]]:
    buffer = EventStreamBuffer()
    found: list[tuple[dict[str, HeaderValue], bytes]] = []
    for piece in pieces:
        buffer.add_data(piece)
        found += [(message.headers, message.payload) for message in buffer]
    return found


@given(_frames, st.data())
def test_any_frames_cut_anywhere_are_read_as_botocore_reads_them(
        written: list[tuple[dict[str, tuple[int, HeaderValue]], bytes]], data: st.DataObject) -> None:
    body = b"".join(_encode(headers, payload) for headers, payload in written)
    size = data.draw(st.integers(0, len(body)), label="bytes that arrived")
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=8), label="reads end at"))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, size], strict=True)]
    theirs = _by_botocore(pieces)
    for end in (*cuts, size):  # what had come after each read is a prefix of the whole
        ours = [(dict(frame.headers), frame.payload) for frame in frames(body[:end])]
        assert ours == theirs[:len(ours)]
    assert ours == theirs


@given(_frames)
def test_each_end_is_the_length_of_the_body_up_to_its_frame(
        written: list[tuple[dict[str, tuple[int, HeaderValue]], bytes]]) -> None:
    encoded = [_encode(headers, payload) for headers, payload in written]
    ends = [frame.end for frame in frames(b"".join(encoded))]
    assert ends == [sum(map(len, encoded[:count + 1])) for count in range(len(encoded))]


@given(st.binary(max_size=200), st.data())
def test_one_changed_bit_anywhere_yields_no_frame(payload: bytes, data: st.DataObject) -> None:
    good = _encode({":event-type": (7, "chunk")}, payload)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ChecksumMismatch):
        _by_botocore([bytes(bad)])
    with pytest.raises(FrameError, match="checksum"):
        list(frames(bytes(bad)))


def test_frames_before_a_broken_one_are_yielded() -> None:
    good = _encode({}, b"first")
    source = frames(good + b"\0" * 16)
    assert next(source) == Frame(len(good), {}, b"first")
    with pytest.raises(FrameError, match=f"at byte {len(good)}"):
        next(source)


def test_impossible_lengths_are_refused_before_the_bytes_come() -> None:
    prelude = struct.pack("!II", 200 * 1024, 129 * 1024)
    claimed = prelude + struct.pack("!I", crc32(prelude))
    with pytest.raises(InvalidHeadersLength):
        _by_botocore([claimed])
    with pytest.raises(FrameError, match="impossible"):
        list(frames(claimed))


@pytest.mark.parametrize("block", [b"\x05ab", b"\x01a\x0b", b"\x01a\x07\x00\x09xy", b"\x01\xff\x00",
                                   b"\x01a\x00\x01a\x01"],
                         ids=["name cut", "unknown type", "value cut", "not UTF-8", "twice"])
def test_malformed_headers_are_refused(block: bytes) -> None:
    prelude = struct.pack("!II", 16 + len(block), len(block))
    message = prelude + struct.pack("!I", crc32(prelude)) + block
    with pytest.raises(FrameError, match="header"):
        list(frames(message + struct.pack("!I", crc32(message))))
