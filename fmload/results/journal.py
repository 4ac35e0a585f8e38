"""Append-only logs of packed records, and the Parquet files that are made from them.

A frame is length (u32), CRC-32 (u32) and the packed record. A process appends each record as its request ends; what a
crash tears off the end is dropped on reading, and reported. `python -m fmload.results.journal RESULTS` compacts.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fmload.results import answers
from fmload.model.record import SCHEMA, Record, to_table, unpack
from fmload.results.folder import Results

_HEADER = struct.Struct("<II")
_READ_BYTES = 1 << 20
_ROWS_IN_MEMORY = 4096
MAX_RECORD_BYTES = 1 << 28  # a longer length is garbage, not a record


class Journal:
    """The log of one process. One `os.write` a record: a crash of the process loses nothing that was appended."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def append(self, packed: bytes) -> None:
        """Write one frame. Raises OSError when the disk refuses; what came before stays readable."""
        frame = _HEADER.pack(len(packed), zlib.crc32(packed)) + packed
        end = os.lseek(self._fd, 0, os.SEEK_END)
        written = os.write(self._fd, frame)
        if written != len(frame):  # a full disk takes a part: cut it off, so that later frames stay readable
            os.ftruncate(self._fd, end)
            raise OSError(28, "No space left on device", str(self.path))

    def close(self) -> None:
        """Give the file back; appending afterwards is an error."""
        os.close(self._fd)
        self._fd = -1  # the number may be another file's soon


@dataclass(slots=True)
class Torn:
    """What was unreadable at the end of one journal."""

    path: Path
    offset: int
    dropped_bytes: int


def read(path: Path, torn: list[Torn] | None = None) -> Iterator[bytes]:
    """The packed records of one journal, in order; stops at the first torn frame and adds it to `torn`."""
    size = path.stat().st_size
    offset = 0
    with path.open("rb", buffering=_READ_BYTES) as file:
        while offset < size:
            packed = _frame(file.read(_HEADER.size), file.read)
            if packed is None:
                if torn is not None:
                    torn.append(Torn(path, offset, size - offset))
                return
            offset += _HEADER.size + len(packed)
            yield packed


def _frame(header: bytes, read_bytes: Callable[[int], bytes]) -> bytes | None:
    if len(header) < _HEADER.size:
        return None
    length, crc = _HEADER.unpack(header)
    if length > MAX_RECORD_BYTES:
        return None
    packed = read_bytes(length)
    return packed if len(packed) == length and zlib.crc32(packed) == crc else None


@dataclass(slots=True)
class Compaction:
    """What `compact` found: records and answers kept, duplicates dropped, torn ends, records by stage."""

    records: int = 0
    answers: int = 0
    duplicates: int = 0
    torn: list[Torn] = field(default_factory=list)
    by_stage: dict[int, int] = field(default_factory=lambda: defaultdict(int))


def compact(results: Results) -> Compaction:
    """Make `records/stage-NNNN.parquet` (and `answers.parquet`) from all journals of the folder; may be repeated.

    Streams: memory holds the request ids and a few thousand records, whatever the size of the run. A file appears
    under its name only when it is whole.
    """
    done = Compaction()
    with _Files() as files:
        for packed in _frames(results, done):
            if answers.is_answer(packed):
                files.add(results.answers_parquet, answers.SCHEMA, answers.unpack(packed))
                done.answers += 1
            else:
                record = unpack(packed)
                files.add(results.records / f"stage-{record.stage:04d}.parquet", SCHEMA, record)
                done.records += 1
                done.by_stage[record.stage] += 1
    return done


def answer_bytes(results: Results) -> int:
    """What the answers in the journals take, each counted once."""
    return sum(len(packed) for packed in _frames(results, Compaction()) if answers.is_answer(packed))


def _frames(results: Results, done: Compaction) -> Iterator[bytes]:
    """Every frame of every journal once. Equal frames are duplicates: a record and its answer name their request."""
    seen: set[bytes] = set()
    for path in sorted(results.journal.glob("*.log")):
        for packed in read(path, done.torn):
            digest = hashlib.blake2b(packed, digest_size=16).digest()
            if digest in seen:
                done.duplicates += 1
            else:
                seen.add(digest)
                yield packed


class _Files:
    """Parquet files in the making, rows buffered over all of them up to a bound; named when the block ends well."""

    def __init__(self) -> None:
        self._rows: dict[Path, list[Any]] = defaultdict(list)
        self._schemas: dict[Path, pa.Schema] = {}
        self._writers: dict[Path, pq.ParquetWriter] = {}
        self._buffered = 0

    def __enter__(self) -> _Files:
        return self

    def add(self, path: Path, schema: pa.Schema, row: Record | dict[str, Any]) -> None:
        """One more row of the file that will be `path`."""
        self._schemas[path] = schema
        self._rows[path].append(row)
        self._buffered += 1
        if self._buffered >= _ROWS_IN_MEMORY:
            self._flush()

    def _flush(self) -> None:
        for path, rows in self._rows.items():
            schema = self._schemas[path]
            if path not in self._writers:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._writers[path] = pq.ParquetWriter(_part(path), schema, compression="zstd")
            table = to_table(rows) if schema is SCHEMA else pa.Table.from_pylist(rows, schema=schema)
            self._writers[path].write_table(table)
        self._rows.clear()
        self._buffered = 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is None:
            self._flush()
        for path, writer in self._writers.items():
            writer.close()
            if kind is None:
                _part(path).replace(path)
            else:
                _part(path).unlink()


def _part(path: Path) -> Path:
    return path.with_suffix(".part")


def main(argv: list[str]) -> int:
    """`python -m fmload.results.journal RESULTS`: compact, say what was found."""
    done = compact(Results(Path(argv[0])))
    print(f"{done.records} records in {len(done.by_stage)} stages, {done.duplicates} duplicates removed")
    for torn in done.torn:
        print(f"{torn.path.name}: {torn.dropped_bytes} unreadable bytes at offset {torn.offset} dropped")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
