"""How a journal lays out what it keeps: frames that are found again after damage.

A file begins with `HEADER`, a frame with `MARK`; both end with the version. Then come length (u32), CRC-32 (u32) and the
packed bytes. After damage the reader goes on at the next frame that is sound. A block is a frame with a mark of its own
that holds several packed records, compressed. Files of version 1 have neither header nor mark: there the reader looks
for the first bytes that every packed record and answer has. A file is of a later version where its header and its first
mark both say so, and the same one: where they differ, it is damaged.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from mmap import mmap

import pyarrow as pa

VERSION = 3  # the newest that is read
# 1  frames of length, CRC-32 and bytes, one after the other
# 2  a header of the file, a mark before each frame; an empty frame is none
# 3  blocks; only files that have been packed away are of this version

MAGIC = b"\xc1fmload"
HEADER, PACKED_HEADER = MAGIC + b"\x02", MAGIC + b"\x03"
MARK, BLOCK_MARK = b"\xc1FM\x02", b"\xc1FM\x03"
_MARKS = (MARK, BLOCK_MARK)
MAX_BYTES = 1 << 28  # a longer length is garbage, not a frame
BLOCK_BYTES = 1 << 18  # of a block, opened; a larger record has a frame of its own

_SIZE = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_zstd = pa.Codec("zstd", compression_level=1)
_FIRST_VERSION = (b"\xdc\x00", b"\x88\xaarequest_id")  # a packed record of schema 1 and 2, a packed answer
_WORK = 16  # bytes checked on the way over damage, as a multiple of the file's


class NewerFrames(ValueError):
    """A later version wrote this."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes that are no frame."""

    offset: int
    length: int


def framed(packed: bytes) -> bytes:
    """One frame."""
    return MARK + _SIZE.pack(len(packed), zlib.crc32(packed)) + packed


def blocks(records: Iterator[bytes]) -> Iterator[bytes]:
    """The same records in frames that take less room, in their order."""
    held: list[bytes] = []
    size = 0
    for packed in records:
        needed = _LENGTH.size + len(packed)
        if held and size + needed > BLOCK_BYTES:
            yield _block(held)
            held, size = [], 0
        if needed > BLOCK_BYTES:
            yield framed(packed)
        else:
            held.append(packed)
            size += needed
    if held:
        yield _block(held)


def _block(records: Sequence[bytes]) -> bytes:
    plain = b"".join(part for packed in records for part in (_LENGTH.pack(len(packed)), packed))
    inside = _LENGTH.pack(len(plain)) + _zstd.compress(plain, asbytes=True)
    return b"".join([BLOCK_MARK, _SIZE.pack(len(inside), zlib.crc32(inside)), inside])


def _unpacked(inside: bytes) -> list[bytes] | None:
    """The records of a block; None where it is none."""
    try:
        size, = _LENGTH.unpack_from(inside)
        if size > BLOCK_BYTES:
            return None
        plain = _zstd.decompress(inside[_LENGTH.size:], decompressed_size=size, asbytes=True)
    except (struct.error, OSError, ValueError):
        return None
    found, offset = [], 0
    while offset + _LENGTH.size <= len(plain):
        length, = _LENGTH.unpack_from(plain, offset)
        offset += _LENGTH.size + length
        found.append(plain[offset - length:offset])
    return found if offset == len(plain) else None


def scan(data: bytes | mmap) -> Iterator[bytes | Gap]:
    """Everything in a journal, in order: packed bytes, and gaps between them. Raises NewerFrames for a later version.

    Takes time in proportion to the size, whatever the damage.
    """
    size, offset = len(data), _begin(data)
    search = _Search(data)
    while offset < size:
        found = _at(data, offset)
        if found is not None:
            records, offset = found
            yield from records
            continue
        after = search.next_sound(offset + 1)
        yield Gap(offset, after - offset)
        offset = after


def _begin(data: bytes | mmap) -> int:
    if data[:len(MAGIC)] != MAGIC or len(data) < len(HEADER):
        return 0
    version = data[len(MAGIC)]
    if version > VERSION and data[len(HEADER):len(HEADER) + len(MARK)] == MARK[:-1] + bytes([version]):
        raise NewerFrames(f"a journal of version {version}; this fmload reads up to {VERSION}")
    return len(HEADER)


def _at(data: bytes | mmap, offset: int) -> tuple[list[bytes], int] | None:
    """The packed records of the frame that begins here, and where it ends; None where none does."""
    mark = data[offset:offset + len(MARK)]
    begin = offset + len(MARK) * (mark in _MARKS)
    if begin + _SIZE.size > len(data):
        return None
    length, crc = _SIZE.unpack(data[begin:begin + _SIZE.size])
    end = begin + _SIZE.size + length
    if length > MAX_BYTES or end > len(data) or not length:
        return None
    inside = data[begin + _SIZE.size:end]
    if zlib.crc32(inside) != crc:
        return None
    records = _unpacked(inside) if mark == BLOCK_MARK else [inside]
    return None if records is None else (records, end)


class _Search:
    """Finds the next sound frame after damage. Gives up, and takes the rest for damaged, where an excess of bytes was
    checked in vain: damage makes few false frames, and only malice so many."""

    def __init__(self, data: bytes | mmap) -> None:
        self._data = data
        self._left = _WORK * len(data)
        self._places = {pattern: -1 for pattern in (*_MARKS, *_FIRST_VERSION)}  # of each, its next place; -1: not known

    def next_sound(self, offset: int) -> int:
        """Where it begins; the size of the data where there is none."""
        while (candidate := self._next(offset)) is not None and self._left > 0:
            if _at(self._data, candidate) is not None:
                return candidate
            self._left -= self._claimed(candidate)
            offset = candidate + 1
        return len(self._data)

    def _next(self, offset: int) -> int | None:
        """The next place at which a frame may begin."""
        found = []
        for pattern, place in self._places.items():
            ahead = 0 if pattern in _MARKS else _SIZE.size
            if place is not None and place < offset:
                at = self._data.find(pattern, offset + ahead)
                place = self._places[pattern] = len(self._data) if at < 0 else at - ahead
            found.append(place)
        return nearest if (nearest := min(found)) < len(self._data) else None

    def _claimed(self, offset: int) -> int:
        """How many bytes were checked for the frame that is none here."""
        begin = offset + len(MARK) * (self._data[offset:offset + len(MARK)] in _MARKS)
        if begin + _SIZE.size > len(self._data):
            return 1
        length, _ = _SIZE.unpack(self._data[begin:begin + _SIZE.size])
        return length if length <= min(MAX_BYTES, len(self._data) - begin) else 1
