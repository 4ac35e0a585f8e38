"""HTTP/1.1 as the server needs it: bytes to requests, status and headers to bytes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

MAX_HEAD_BYTES = 64 * 1024


class BadRequest(Exception):
    """The bytes are not a request that this server reads; the connection is answered 400 and closed."""


class Unfit(ValueError):
    """A request that asks for what no server of its protocol takes; its message is for the client."""


@dataclass(slots=True)
class Request:
    """One request, whole. Header names are in lower case; `received_ns` is the stamp of its first bytes, `query` what
    stood behind the path."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    received_ns: int
    query: str = ""


@dataclass(slots=True)
class Refusal(Exception):
    """An answer without tokens: status, a JSON (or other) body, more headers."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    content_type: str = "application/json"
    outcome: str = "rejected"


class RequestReader:
    """Splits a connection's bytes into requests. `continue_due` asks for an interim `100 Continue`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._first_ns = self._last_ns = 0
        self._head: tuple[str, str, str, dict[str, str], int] | None = None
        self.continue_due = False

    def feed(self, data: bytes, received_ns: int) -> None:
        """Adds bytes that came at `received_ns`."""
        if not self._buffer and self._head is None:
            self._first_ns = received_ns
        self._last_ns = received_ns
        self._buffer += data

    def next(self) -> Request | None:
        """The next whole request, or None. Raises BadRequest."""
        if self._head is None:
            self._head = self._take_head()
        if self._head is None:
            return None
        method, path, query, headers, length = self._head
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._head = None
        received_ns, self._first_ns = self._first_ns, self._last_ns  # what is left came with the newest bytes
        return Request(method, path, headers, body, received_ns, query)

    def _take_head(self) -> tuple[str, str, str, dict[str, str], int] | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadRequest("the head of the request is too long")
            return None
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[:end + 4]
        method, path, query, headers = _parse_head(lines)
        if "transfer-encoding" in headers:
            raise BadRequest("a request body must come with Content-Length")
        length = headers.get("content-length", "0")
        if not length.isdigit():
            raise BadRequest("Content-Length is not a number")
        self.continue_due = headers.get("expect", "").lower() == "100-continue"
        return method, path, query, headers, int(length)


def _parse_head(lines: list[str]) -> tuple[str, str, str, dict[str, str]]:
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest("not an HTTP/1.1 request line")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest("a header line has no colon")
        headers[name.strip().lower()] = value.strip()
    path, _, query = parts[1].partition("?")
    return parts[0], unquote(path), query, headers


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Status line and headers, with the empty line that ends them."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode("latin-1")


class BodyFraming:
    """How the pieces of a body go on the wire: in chunks or bare, plain or gzip-encoded."""

    def __init__(self, chunked: bool, gzip: bool) -> None:
        self.chunked = chunked
        self.encoder = zlib.compressobj(wbits=31) if gzip else None

    def frame(self, data: bytes) -> bytes:
        """A piece, complete on the wire: gzip is flushed, so that the client can read all of it."""
        if not data:
            return b""
        if self.encoder is not None:
            data = self.encoder.compress(data) + self.encoder.flush(zlib.Z_SYNC_FLUSH)
        return self._chunk(data)

    def end(self) -> bytes:
        """What ends the body."""
        tail = self._chunk(self.encoder.flush()) if self.encoder is not None else b""
        return tail + b"0\r\n\r\n" if self.chunked else tail

    def _chunk(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data


def json_refusal(status: int, body: object, headers: Mapping[str, str] | None = None,
                 outcome: str = "rejected") -> Refusal:
    """A refusal with a JSON body."""
    return Refusal(status, json.dumps(body).encode(), headers or {}, outcome=outcome)
