"""HTTP/1.1 responses out of bytes, in whatever pieces they come. Pure: no socket and no clock.

While bytes come, only the end of the message is looked for, and a read that cannot be the end costs a look at
its last bytes; the body is put together once, afterwards.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType

from fmload.base.units import write_size

try:  # in C where the extension is installed: a third of the time
    from fmload.wire import _native_reader
    native: ModuleType | None = _native_reader
except ImportError:
    native = None

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 256 * 1024 * 1024
MAX_INTERIM_HEADS = 100
_MAX_LENGTH_DIGITS = 18  # more are larger than any limit, and Python refuses to read very many
_SCAN_BYTES = 64 * 1024  # chunks are checked at least this often, so that garbage is noticed before the end
_MAX_CHUNK_LINE = 4096

_head_end = re.compile(rb"\r?\n\r?\n").search
_status_line = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: ([^\r\n]*))?\r?").fullmatch
_header_name = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_chunk_line = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n").match
_FOLD = re.compile(rb"\r?\n[ \t]+")  # a header that goes on in the next line (obsolete)


class FramingError(ValueError):
    """The bytes are not an HTTP/1.1 response, or pass a limit."""


def too_large(limit_bytes: int) -> str:
    """Why a response is given up that passes the limit on its size."""
    return f"the response is larger than {write_size(limit_bytes)} (max_response)"


@dataclass(frozen=True, slots=True)
class Head:
    """The status line and the headers; header names in lower case, repeated ones joined by `, `."""

    status: int
    reason: str
    headers: dict[str, str] = field(default_factory=dict)
    minor_version: int = 1

    def tokens(self, name: str) -> tuple[str, ...]:
        """The comma-separated values of a header, in lower case; empty when it is absent."""
        return _tokens(self.headers.get(name, ""))

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may carry another request."""
        tokens = self.tokens("connection")
        return "close" not in tokens and (self.minor_version == 1 or "keep-alive" in tokens)


@lru_cache(128)  # a server's are the same with each answer
def _tokens(value: str) -> tuple[str, ...]:
    return tuple(token.strip().lower() for token in value.split(",") if token.strip())


def parse_head(data: bytes) -> Head:
    """The head from its bytes, without the empty line. Raises FramingError."""
    first, *lines = (_FOLD.sub(b" ", data) if b"\n " in data or b"\n\t" in data else data).split(b"\n")
    status = _status_line(first)
    if status is None:
        raise FramingError(f"not an HTTP/1.x status line: {first[:60]!r}")
    fields = [_header(line) for line in lines]
    headers = dict(fields)
    if len(headers) < len(fields):
        headers = _joined(fields)
    return Head(int(status[2]), (status[3] or b"").decode("latin-1"), headers, int(status[1]))


def _joined(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    return {name: ", ".join(each) for name, each in values.items()}


@lru_cache(128)  # most of a server's lines come with each answer
def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.removesuffix(b"\r").partition(b":")
    if not colon or _header_name(name) is None or b"\r" in value:
        raise FramingError(f"not a header line: {line[:60]!r}")
    return name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")


class ResponseParser:
    """One response to a request with `method`. `feed` it bytes until it says that the message has ended.

    `head` is None until the final head (1xx are skipped) is in. `received` counts bytes, heads included.
    """

    def __init__(self, method: str = "POST", max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self.head: Head | None = None
        self.complete = False
        self.received = 0  # bytes so far, heads included
        self._raw = bytearray()
        self._parts: list[bytes] = []  # what came since `raw` was last asked for
        self._method = method
        self._max_body_bytes = max_body_bytes
        self._advance: Callable[[bytes], bool] = self._in_head
        self._start = 0  # of the head, then of the body
        self._end = 0  # of the message, once known
        self._position = 0  # of the first chunk that has not been taken
        self._chunk_starts, self._chunk_ends = array("q"), array("q")
        self._chunked = False
        self._trailers: int | None = None  # where they begin, once the last chunk is in
        self._interim_heads = 0

    @property
    def raw(self) -> bytearray:
        """Everything so far. Put together when it is looked at: growing it by every read would move it each time."""
        if self._parts:
            self._raw += b"".join(self._parts)
            self._parts.clear()
        return self._raw

    @property
    def head_end(self) -> int:
        """How many bytes had been received when the head was in; of no meaning before."""
        return self._start

    @property
    def reusable(self) -> bool:
        """Whether the connection can carry another request: complete, kept alive, and not a byte too many."""
        return (self.complete and self.head is not None and self.head.keep_alive and self.received == self._end
                and self._advance != self._until_close)

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; True when the message has ended. Raises FramingError."""
        self.keep(data)
        return self._advance(data)

    def keep(self, data: bytes) -> None:
        """Take bytes without looking at them: those beyond the end."""
        self._parts.append(data)
        self.received += len(data)

    def eof(self) -> bool:
        """The peer has closed: True when that is a proper end. Raises FramingError."""
        self.settle()
        if self.head is not None and self._advance == self._until_close:
            self._finish(self.received)
        return self.complete

    def settle(self) -> bool:
        """Look at everything received, not only at what may be the end. Raises FramingError."""
        if self.complete:
            return True
        if self.head is None:
            return self._in_head(self.raw)
        if self._chunked:
            return self._scan_chunks()
        return self._advance != self._in_head and self._advance(b"")

    def _finish(self, end: int) -> bool:
        self._end = end
        self.complete = True
        return True

    def _in_head(self, data: bytes | bytearray) -> bool:
        raw, look_from = self.raw, self.received - len(data) - 3
        while self.head is None:
            if not raw.startswith(b"HTTP/1."[: len(raw) - self._start], self._start):
                raise FramingError(f"not an HTTP/1.x response: {bytes(raw[self._start:self._start + 60])!r}")
            match = _head_end(raw, max(self._start, look_from))
            if match is None:
                if len(raw) - self._start > MAX_HEAD_BYTES:
                    raise FramingError(f"response headers larger than {MAX_HEAD_BYTES} bytes")
                return False
            head = parse_head(bytes(raw[self._start:match.start()]))
            self._start = self._position = match.end()
            if not self._is_interim(head):
                self.head = head
        return self._choose_framing(head)

    def _is_interim(self, head: Head) -> bool:
        if not 100 <= head.status < 200:
            return False
        if head.status == 101:
            raise FramingError("the server switched to another protocol")
        self._interim_heads += 1
        if self._interim_heads > MAX_INTERIM_HEADS:
            raise FramingError(f"more than {MAX_INTERIM_HEADS} interim responses (1xx) before the response itself")
        return True

    def _choose_framing(self, head: Head) -> bool:
        """RFC 9112, section 6.3."""
        if self._method == "HEAD" or head.status in (204, 304):
            return self._finish(self._start)
        transfer = [coding for coding in head.tokens("transfer-encoding") if coding != "identity"]
        if transfer == ["chunked"]:
            self._chunked = True
            self._advance = self._in_chunks
            return self._scan_chunks()
        if transfer:
            coding = head.headers["transfer-encoding"][:60]
            raise FramingError(f"Transfer-Encoding: {coding!r}, which was not asked for")
        if "content-length" not in head.headers:
            self._advance = self._until_close
            return self._until_close(b"")
        self._end = self._start + self._length(head)
        self._advance = self._in_length
        return self._in_length(b"")

    def _length(self, head: Head) -> int:
        """Of the body, as the one or several equal Content-Length fields say it."""
        lengths = {length.strip() for length in head.headers["content-length"].split(",")}
        length = lengths.pop()
        if lengths or not (length.isascii() and length.isdigit()):
            raise FramingError(f"Content-Length: {head.headers['content-length'][:60]!r}")
        digits = length.lstrip("0") or "0"
        if len(digits) > _MAX_LENGTH_DIGITS or int(digits) > self._max_body_bytes:
            raise FramingError(self._too_large())
        return int(digits)

    def _in_length(self, data: bytes) -> bool:
        return self.received >= self._end and self._finish(self._end)

    def _until_close(self, data: bytes) -> bool:
        if self.received - self._start > self._max_body_bytes:
            raise FramingError(self._too_large())
        return False

    def _in_chunks(self, data: bytes) -> bool:
        """A message ends with an empty line: only a read with one at its end, or a very small one, is looked at."""
        if self._trailers is not None:
            return self._in_trailers(max(self._trailers, self.received - len(data) - 3))
        if data.endswith(b"\r\n\r\n") or len(data) < 4 or self.received - self._position > _SCAN_BYTES:
            return self._scan_chunks()
        return False

    def _scan_chunks(self) -> bool:
        if self._trailers is not None:
            return self._in_trailers(self._trailers)
        if native is not None:
            self._take_whole_chunks(native)
        raw, position = self.raw, self._position
        received = len(raw)
        while match := _chunk_line(raw, position):
            size, start = int(match[1], 16), match.end()
            if size == 0:
                self._trailers = start
                return self._in_trailers(start)
            end = start + size
            if end - self._start > self._max_body_bytes:
                raise FramingError(self._too_large())
            if end + 2 > received:
                return False
            if raw[end:end + 2] != b"\r\n":
                raise FramingError(f"a chunk of {size} bytes is followed by {bytes(raw[end:end + 20])!r}")
            self._chunk_starts.append(start)
            self._chunk_ends.append(end)
            self._position = position = end + 2
        if b"\n" in raw[position:position + _MAX_CHUNK_LINE] or received - position > _MAX_CHUNK_LINE:
            raise FramingError(f"not a chunk size: {bytes(raw[position:position + 60])!r}")
        return False

    def _take_whole_chunks(self, native: ModuleType) -> None:
        """The same in C, as far as nothing is out of the ordinary."""
        furthest = self._start + self._max_body_bytes
        starts, ends, self._position = native.whole_chunks(self.raw, self._position, furthest)
        self._chunk_starts.frombytes(starts)
        self._chunk_ends.frombytes(ends)

    def _in_trailers(self, look_from: int) -> bool:
        """After the last chunk's line; trailer fields are skipped. `look_from`: no empty line ends before it."""
        raw, start = self.raw, self._trailers or 0
        if raw.startswith(b"\r\n", start):
            return self._finish(start + 2)
        empty_line = _head_end(raw, look_from)
        if empty_line is None and len(raw) - start > MAX_HEAD_BYTES:
            raise FramingError(f"trailers larger than {MAX_HEAD_BYTES} bytes")
        return empty_line is not None and self._finish(empty_line.end())

    def _too_large(self) -> str:
        return too_large(self._max_body_bytes)

    def _spans(self) -> tuple[array[int], array[int]]:
        """Where in the raw bytes the body lies: starts and ends, a chunk that is under way included."""
        if self.head is None or self._advance == self._in_head:  # the head says nothing that can be followed
            return array("q"), array("q")
        if not self._chunked:
            return array("q", (self._start,)), array("q", (min(self._end or len(self.raw), len(self.raw)),))
        starts, ends = self._chunk_starts, self._chunk_ends
        match = None if self.complete else _chunk_line(self.raw, self._position)
        if match is None or match.end() == len(self.raw) or int(match[1], 16) == 0:
            return starts, ends
        last = min(len(self.raw), match.end() + int(match[1], 16))
        return starts + array("q", (match.end(),)), ends + array("q", (last,))

    def body(self, read_ends: Iterable[int]) -> tuple[bytes, list[int]]:
        """The body so far, free of transfer coding; and, for every read that ended at so many raw bytes
        (ascending), how long the body was by then."""
        starts, ends = self._spans()
        raw = self.raw
        if native is not None:
            ends_of_reads = read_ends if isinstance(read_ends, array) else array("q", read_ends)
            body, lengths = native.joined(raw, starts, ends, ends_of_reads)
            return body, array("q", lengths).tolist()
        body = b"".join([raw[start:end] for start, end in zip(starts, ends, strict=True)])
        return body, _body_ends(starts, ends, read_ends)


def _body_ends(starts: Sequence[int], ends: Sequence[int], read_ends: Iterable[int]) -> list[int]:
    lengths: list[int] = []
    before = index = 0  # body bytes in the spans before `index`
    for read_end in read_ends:
        while index < len(ends) and ends[index] <= read_end:
            before += ends[index] - starts[index]
            index += 1
        inside = index < len(starts) and read_end > starts[index]
        lengths.append(before + read_end - starts[index] if inside else before)
    return lengths
