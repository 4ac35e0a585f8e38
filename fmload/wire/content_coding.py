"""Content codings (gzip, deflate) undone, with the read ends that go with them. Pure; linear time; bounded output."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from fmload.wire.framing import MAX_BODY_BYTES, FramingError, too_large

MAX_GZIP_MEMBERS = 10_000
_SLICE_BYTES = 4096  # fed at once: what is left of a slice after a member's end is copied
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class Plain(NamedTuple):
    """A body with its read ends, and whether its coding came to its own end."""

    body: bytes
    ends: list[int]
    ended: bool = True


def decode_content(encoding: str, body: bytes, ends: list[int], max_body_bytes: int = MAX_BODY_BYTES) -> Plain:
    """Body and read ends with a content coding undone. Raises FramingError for one that is not known.

    A gzip body may have several members, one after the other; zeros after the last one are padding.
    """
    if encoding in ("", "identity"):
        return Plain(body, ends)
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise FramingError(f"the response is encoded as {encoding[:60]!r}, which was not asked for")
    inflater, lengths, before = _Inflater(encoding, body[:1], max_body_bytes), [], 0
    try:
        for end in ends:
            for start in range(before, end, _SLICE_BYTES):
                inflater.feed(body[start:min(start + _SLICE_BYTES, end)])
            lengths.append(len(inflater.plain))
            before = end
    except zlib.error as error:
        raise FramingError(f"the {encoding} body cannot be decoded: {error}") from error
    return Plain(bytes(inflater.plain), lengths, inflater.ended or not body)


class _Inflater:
    """Takes a body in slices; `plain` is what it said so far."""

    def __init__(self, encoding: str, first: bytes, max_body_bytes: int) -> None:
        self.plain = bytearray()
        self._max_body_bytes = max_body_bytes
        self._several = encoding != "deflate"
        # Some servers send raw deflate for `deflate`; a zlib stream begins with method 8.
        raw_deflate = encoding == "deflate" and first != b"" and first[0] & 0x0F != 8
        self._bits = -zlib.MAX_WBITS if raw_deflate else _GZIP_OR_ZLIB
        self._member = zlib.decompressobj(self._bits)
        self._members = 1

    @property
    def ended(self) -> bool:
        """Whether the last member that was begun has ended."""
        return self._member.eof

    def feed(self, data: bytes) -> None:
        """Take the next slice. Raises FramingError beyond a limit, zlib.error for what is not this coding."""
        while data:
            if self._member.eof:
                data = data.lstrip(b"\0")
                if not data or not self._several:
                    return
                self._begin_member()
            self.plain += self._member.decompress(data, self._max_body_bytes + 1 - len(self.plain))
            if len(self.plain) > self._max_body_bytes:
                raise FramingError(f"decoded, {too_large(self._max_body_bytes)}")
            data = self._member.unused_data

    def _begin_member(self) -> None:
        self._members += 1
        if self._members > MAX_GZIP_MEMBERS:
            raise FramingError(f"the gzip body has more than {MAX_GZIP_MEMBERS} members")
        self._member = zlib.decompressobj(self._bits)
