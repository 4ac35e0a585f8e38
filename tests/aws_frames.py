"""Event-stream frames as AWS writes them, for tests."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any
from zlib import crc32


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One frame with string headers."""
    block = b"".join(bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value.encode()))
                     + value.encode() for name, value in headers.items())
    prelude = struct.pack("!II", 16 + len(block) + len(payload), len(block))
    message = prelude + struct.pack("!I", crc32(prelude)) + block + payload
    return message + struct.pack("!I", crc32(message))


def event(kind: str, payload: Any) -> bytes:
    """An event frame with a JSON payload, or with these very bytes."""
    raw = isinstance(payload, bytes)
    return frame({":event-type": kind, ":content-type": "application/octet-stream" if raw else "application/json",
                  ":message-type": "event"}, payload if raw else json.dumps(payload).encode())


def chunk(payload: Any) -> bytes:
    """An event of InvokeModelWithResponseStream."""
    return event("chunk", {"bytes": base64.b64encode(json.dumps(payload).encode()).decode(), "p": "abcdef"})


def exception(kind: str, payload: Any) -> bytes:
    """An exception frame: an error that the service documents."""
    return frame({":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"},
                 json.dumps(payload).encode())


def error(code: str, message: str) -> bytes:
    """An error frame: one that it does not document."""
    return frame({":message-type": "error", ":error-code": code, ":error-message": message}, b"")
