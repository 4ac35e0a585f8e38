"""Append-only logs of packed records, and the Parquet files that are made from them.

A process appends each record as its request ends (`frames` says how it lies there). What a crash tears off the end, or
damages in the middle, is dropped on reading, and told. `python -m fmload.results.journal RESULTS` compacts.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fmload.base.errors import FmloadError, first_line, refused_by_disk
from fmload.base.files import remove_abandoned, write_whole
from fmload.model.record import SCHEMA, Record, to_table, unpack
from fmload.results import answers, counts, frames, sessions, texts
from fmload.results.counts import Count
from fmload.results.folder import Results
from fmload.results.lock import compacting
from fmload.results.once import Once

_ROWS_IN_MEMORY = 4096
TOLD_ASIDE = 100  # records set aside that are told one by one; the others are counted
_REFUSED = (ValueError, TypeError, OverflowError, KeyError)  # pyarrow's ArrowInvalid is a ValueError


class Journal:
    """The log of one process. One `os.write` a record: a crash of the process loses nothing that was appended."""

    def __init__(self, path: Path) -> None:
        """Opens it, or goes on with the one that is there. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        if not os.fstat(self._fd).st_size:
            self._write(frames.HEADER)

    def append(self, packed: bytes) -> None:
        """Write one frame. Raises OSError when the disk refuses; what came before stays readable."""
        self._write(frames.framed(packed))

    def _write(self, data: bytes) -> None:
        end = os.lseek(self._fd, 0, os.SEEK_END)
        written = os.write(self._fd, data)
        if written != len(data):  # a full disk takes a part: cut it off, so that later frames stay readable
            os.ftruncate(self._fd, end)
            raise OSError(28, "No space left on device", str(self.path))

    def close(self) -> None:
        """Give the file back; appending afterwards is an error."""
        os.close(self._fd)
        self._fd = -1  # the number may be another file's soon


@dataclass(slots=True)
class Torn:
    """Bytes of one journal that no frame could be read from: its torn end, or damage in the middle."""

    path: Path
    offset: int
    dropped_bytes: int


def read(path: Path, torn: list[Torn] | None = None) -> Iterator[bytes]:
    """The packed records of one journal, in order; what is damaged is passed over, and added to `torn`.

    Raises FmloadError for a journal that a later version wrote, or that cannot be read.
    """
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                for found in frames.scan(data):
                    if not isinstance(found, frames.Gap):
                        yield found
                    elif torn is not None:
                        torn.append(Torn(path, found.offset, found.length))
    except OSError as error:
        raise FmloadError(f"{path} cannot be read: {error.strerror or error}",
                          hint="mind its permissions, or take it from a copy") from error
    except frames.NewerFrames as error:
        raise FmloadError(f"{path}: {error}", hint="use the fmload that wrote the folder (environment.json)") from error


@dataclass(slots=True)
class SetAside:
    """A record that is in a journal and not in the Parquet files, for they cannot hold it."""

    request_id: str | None
    stage: int | None
    why: str


@dataclass(slots=True)
class Compaction:
    """What `compact` found: records and answers kept, duplicates dropped, what was damaged or set aside, records by
    stage."""

    records: int = 0
    answers: int = 0
    duplicates: int = 0
    torn: list[Torn] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)  # the first TOLD_ASIDE of them
    set_aside_in_all: int = 0
    by_stage: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def put_aside(self, row: Record | dict[str, Any] | None, error: Exception) -> None:
        """Count what the files cannot hold, and note it."""
        self.set_aside_in_all += 1
        if isinstance(row, Record) and isinstance(row.stage, int):
            self.records -= 1
            self.by_stage[row.stage] -= 1
        if len(self.set_aside) < TOLD_ASIDE:
            request_id, stage = ((row.request_id, row.stage) if isinstance(row, Record) else
                                 (row.get("request_id"), row.get("stage")) if row else (None, None))
            self.set_aside.append(SetAside(str(request_id) if request_id else None,
                                           stage if isinstance(stage, int) else None, first_line(error)))

    def told(self) -> list[str]:
        """What was lost or set aside, a line each."""
        return [*(f"{torn.path.name}: {torn.dropped_bytes} unreadable bytes at offset {torn.offset} dropped"
                  for torn in self.torn),
                *(f"request {one.request_id or 'unknown'}: set aside, {one.why}" for one in self.set_aside)]

    def write(self, results: Results) -> None:
        """Keep it beside the records. Raises OSError."""
        write_whole(results.compaction_json, json.dumps({
            "schema": 1, "records": self.records, "answers": self.answers, "duplicates": self.duplicates,
            "torn": [{**asdict(torn), "path": torn.path.name} for torn in self.torn],
            "set_aside": [asdict(one) for one in self.set_aside], "set_aside_in_all": self.set_aside_in_all}, indent=1))


def losses(results: Results) -> list[str]:
    """What the last compaction of a folder had to leave out, a line each; none where there was none, or its file is
    damaged."""
    try:
        told = json.loads(results.compaction_json.read_bytes())
        torn = [Torn(Path(one["path"]), one["offset"], one["dropped_bytes"]) for one in told["torn"]]
        return Compaction(torn=torn, set_aside=[SetAside(**one) for one in told["set_aside"]]).told()
    except (OSError, ValueError, TypeError, KeyError):
        return []


def compact(results: Results) -> Compaction:
    """Make `records/stage-NNNN.parquet` (and `answers.parquet`) from all journals of the folder; may be repeated.

    Streams: memory holds 16 bytes a request and a few thousand records, whatever the size of the run. A file appears
    under its name only when it is whole, as old as when its reading began: what is journaled meanwhile is newer. A
    record that a file cannot hold is set aside alone. Raises FmloadError for a journal that cannot be read, and when the
    disk is full.
    """
    done = Compaction()
    try:
        counted = counts.read(results.counts_parquet)
        with compacting(results), _Files(done.put_aside) as files:
            remove_abandoned(results.journal)
            for packed in _frames(results, done):
                try:
                    _add(files, results, packed, done, counted)
                except _REFUSED as error:
                    done.put_aside(None, error)
        done.write(results)
    except OSError as error:
        raise refused_by_disk(error, f"the records of {results.root} could not be written", (
            f"the journals hold them: make room, then 'fmload report {results.root}' makes the records and the report"
        )) from error
    return done


def _add(files: _Files, results: Results, packed: bytes, done: Compaction, counted: Mapping[str, Count]) -> None:
    if answers.is_answer(packed):
        row = answers.unpack(packed)
        if sessions.is_session(row):
            files.add(results.sessions_parquet, sessions.SCHEMA, row)
            return
        if not isinstance(row.get("request_id"), str):
            raise ValueError("an answer without its request")
        if texts.is_text(row):
            files.add(results.texts_parquet, texts.SCHEMA, row)
        else:
            files.add(results.answers_parquet, answers.SCHEMA, row)
            done.answers += 1
    else:
        record = unpack(packed)
        counts.apply(record, counted.get(record.request_id))
        if not len(record.chunk_ns) == len(record.chunk_tokens) == len(record.chunk_censored):
            raise ValueError("its lists of chunks differ in length")
        files.add(results.records / f"stage-{record.stage:04d}.parquet", SCHEMA, record)
        done.records += 1
        done.by_stage[record.stage] += 1


def answer_bytes(results: Results) -> int:
    """What the answers in the journals take, each counted once."""
    return sum(len(packed) for packed in _frames(results, Compaction())
               if answers.is_answer(packed) and answers.is_kept(answers.unpack(packed)))


def text_bytes(results: Results) -> int:
    """What the texts of uncounted answers in the journals take, each counted once."""
    return sum(len(packed) for packed in _frames(results, Compaction())
               if answers.is_answer(packed) and texts.is_text(answers.unpack(packed)))


def contents(results: Results) -> Iterator[bytes]:
    """Every record and answer of the folder's journals once, as they were packed."""
    return _frames(results, Compaction())


def _frames(results: Results, done: Compaction) -> Iterator[bytes]:
    """Every frame of every journal once. Equal frames are duplicates: a record and its answer name their request."""
    seen = Once()
    for path in sorted(results.journal.glob("*.log")):
        for packed in read(path, done.torn):
            if seen.is_new(packed):
                yield packed
            else:
                done.duplicates += 1


Row = Record | dict[str, Any]


_STAMPS = "chunk_ns.list.element"
_TICK_NS = 10**7  # the clock of a file system may be so coarse


def writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A Parquet file to be filled. Stamps of chunks, which are most of a run, are stored as differences: as small as by
    a dictionary and zstd, and read and written in less than half the time."""
    names = [f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name for field in schema]
    return pq.ParquetWriter(path, schema, compression={name: "NONE" if name == _STAMPS else "ZSTD" for name in names},
                            use_dictionary=[name for name in names if name != _STAMPS],
                            column_encoding={_STAMPS: "DELTA_BINARY_PACKED"} if _STAMPS in names else None)


class _Files:
    """Parquet files in the making, rows buffered over all of them up to a bound; named when the block ends well.

    `put_aside` gets each row that its file cannot hold, and why.
    """

    def __init__(self, put_aside: Callable[[Row, Exception], None]) -> None:
        self._put_aside = put_aside
        self._rows: dict[Path, list[Row]] = defaultdict(list)
        self._schemas: dict[Path, pa.Schema] = {}
        self._writers: dict[Path, pq.ParquetWriter] = {}
        self._buffered = 0
        self._begun_ns = time.time_ns() - _TICK_NS

    def __enter__(self) -> _Files:
        return self

    def add(self, path: Path, schema: pa.Schema, row: Row) -> None:
        """One more row of the file that will be `path`."""
        self._schemas[path] = schema
        self._rows[path].append(row)
        self._buffered += 1
        if self._buffered >= _ROWS_IN_MEMORY:
            self._flush()

    def _flush(self) -> None:
        for path, rows in self._rows.items():
            tables = self._tables(self._schemas[path], rows)
            if path not in self._writers:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._writers[path] = writer(_part(path), self._schemas[path])
            for table in tables:
                self._writers[path].write_table(table)
        self._rows.clear()
        self._buffered = 0

    def _tables(self, schema: pa.Schema, rows: list[Row]) -> list[pa.Table]:
        """The rows as one table; around those that it cannot hold as several, found by halving."""
        try:
            return [_table(schema, rows)] if rows else []
        except _REFUSED as error:
            if len(rows) == 1:
                self._put_aside(rows[0], error)
                return []
        middle = len(rows) // 2
        return [*self._tables(schema, rows[:middle]), *self._tables(schema, rows[middle:])]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._flush()
            for writer in self._writers.values():
                writer.close()
        except BaseException:
            self._discard()
            raise
        if kind is None:
            for path in self._writers:
                os.utime(_part(path), ns=(self._begun_ns, self._begun_ns))
                _part(path).replace(path)
        else:
            self._discard()

    def _discard(self) -> None:
        for path in self._writers:
            _part(path).unlink(missing_ok=True)


def _table(schema: pa.Schema, rows: list[Any]) -> pa.Table:
    return to_table(rows) if schema is SCHEMA else pa.Table.from_pylist(rows, schema=schema)


def _part(path: Path) -> Path:
    return path.with_suffix(".part")


def main(argv: list[str]) -> int:
    """`python -m fmload.results.journal RESULTS`: compact, say what was found."""
    try:
        done = compact(Results(Path(argv[0])))
    except FmloadError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    stages = len(done.by_stage)
    copies = f", {done.duplicates} second copies left out" if done.duplicates else ""
    print(f"{done.records} records in {stages} stage{'' if stages == 1 else 's'}{copies}")
    for told in done.told():
        print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
