"""Frames of `application/vnd.amazon.eventstream`, both checksums verified.

A frame, big-endian: total length u32, headers length u32, CRC-32 of those eight bytes, headers, payload, CRC-32 of
everything before it. The limits are botocore's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

HeaderValue = bool | int | bytes | str  # a timestamp stays milliseconds of the epoch, a UUID its 16 bytes

_PRELUDE = struct.Struct("!III")
_CRC = struct.Struct("!I")
_OVERHEAD = _PRELUDE.size + _CRC.size
_MAX_HEADERS = 128 * 1024
_MAX_PAYLOAD = 24 * 1024 * 1024


class FrameError(ValueError):
    """Bytes that are no frame: a checksum that disagrees, a length beyond the limits, a malformed header."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame; `end` is the offset just after it in the body that was decoded."""

    end: int
    headers: Mapping[str, HeaderValue]
    payload: bytes


def frames(body: bytes) -> Iterator[Frame]:
    """The whole frames at the start of `body`, in order; an unfinished last frame is left out.

    Raises FrameError at the first byte that cannot be part of a frame, after yielding those before it.
    """
    view = memoryview(body)
    start, size = 0, len(body)
    while size - start >= _PRELUDE.size:
        total, headers_length, prelude_crc = _PRELUDE.unpack_from(body, start)
        if crc32(view[start:start + 8]) != prelude_crc:
            raise FrameError(f"the prelude checksum of the frame at byte {start} does not match")
        payload_length = total - headers_length - _OVERHEAD
        if headers_length > _MAX_HEADERS or not 0 <= payload_length <= _MAX_PAYLOAD:
            raise FrameError(f"the frame at byte {start} claims impossible lengths")
        end = start + total
        if end > size:
            return
        if crc32(view[start:end - 4]) != _CRC.unpack_from(body, end - 4)[0]:
            raise FrameError(f"the checksum of the frame at byte {start} does not match")
        payload_start = start + _PRELUDE.size + headers_length
        yield Frame(end, _headers(body[start + _PRELUDE.size:payload_start]), body[payload_start:end - 4])
        start = end


# The header blocks of a stream repeat word for word, so that a few entries spare nearly all the parsing.
@lru_cache(maxsize=64)
def _headers(block: bytes) -> Mapping[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(block):
            name_end = at + 1 + block[at]
            name = block[at + 1:name_end].decode()
            if name in headers:
                raise FrameError(f"the header {name!r} occurs twice in a frame")
            headers[name], at = _READERS[block[name_end]](block, name_end + 1)
    except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise FrameError("a frame has malformed headers") from error
    if at != len(block):
        raise FrameError("a frame has malformed headers")
    return headers


Reader = Callable[[bytes, int], tuple[HeaderValue, int]]


def _integer(code: str) -> Reader:
    layout = struct.Struct("!" + code)
    return lambda block, at: (layout.unpack_from(block, at)[0], at + layout.size)


def _bytes(block: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + struct.unpack_from("!H", block, at)[0]
    return block[at + 2:end], end


def _string(block: bytes, at: int) -> tuple[str, int]:
    value, end = _bytes(block, at)
    return value.decode(), end


def _uuid(block: bytes, at: int) -> tuple[bytes, int]:
    return block[at:at + 16], at + 16


# Indexed by the type byte of the header.
_READERS: Mapping[int, Reader] = {
    0: lambda block, at: (True, at), 1: lambda block, at: (False, at),
    2: _integer("b"), 3: _integer("h"), 4: _integer("i"), 5: _integer("q"),
    6: _bytes, 7: _string, 8: _integer("q"), 9: _uuid,
}
