"""AWS event-stream frames, written: `application/vnd.amazon.eventstream`.

Big-endian: total length u32, headers length u32, CRC-32 of those 8 bytes, headers, payload, CRC-32 of all before.
A header is name length u8, name, type u8 (7: string), value length u16, value.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7
_PRELUDE = struct.Struct("!II")
_CRC = struct.Struct("!I")


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One frame with string headers."""
    return _frame(_headers(tuple(headers.items())), payload)


def event(kind: str, payload: bytes, content_type: str = "application/json") -> bytes:
    """An event of the service's model."""
    return _frame(_headers(((":event-type", kind), (":content-type", content_type), (":message-type", "event"))),
                  payload)


def exception(kind: str, payload: bytes) -> bytes:
    """An exception of the service's model; it ends the stream."""
    return frame({":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}, payload)


def error(code: str, message: str) -> bytes:
    """An error outside the service's model; it ends the stream."""
    return frame({":message-type": "error", ":error-code": code, ":error-message": message}, b"")


def _frame(headers: bytes, payload: bytes) -> bytes:
    prelude = _PRELUDE.pack(16 + len(headers) + len(payload), len(headers))
    message = b"".join((prelude, _CRC.pack(zlib.crc32(prelude)), headers, payload))
    return message + _CRC.pack(zlib.crc32(message))


@lru_cache(maxsize=256)
def _headers(headers: tuple[tuple[str, str], ...]) -> bytes:
    return b"".join(bytes([len(name.encode())]) + name.encode() + struct.pack("!BH", _STRING, len(value.encode()))
                    + value.encode() for name, value in headers)
