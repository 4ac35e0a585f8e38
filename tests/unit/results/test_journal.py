from __future__ import annotations

import errno
import os
from array import array
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.model.record import SCHEMA, Record, from_table, pack
from fmload.results import journal
from fmload.results.folder import Results
from fmload.results.journal import Journal, Torn, compact, read


def record(number: int, stage: int = 0) -> Record:
    return Record(f"id-{number}", "w", stage, "e", "p", f"p-{number}", number, send_ns=number, end_ns=number + 5,
                  chunk_ns=array("q", [number + 1, number + 2]), chunk_tokens=array("i", [1, 1]),
                  chunk_censored=array("b", [0, 0]))


def written(path: Path, packed: list[bytes]) -> Path:
    log = Journal(path)
    for one in packed:
        log.append(one)
    log.close()
    return path


@given(packed=st.lists(st.binary(max_size=50), max_size=8), cut=st.integers(0, 400))
def test_whatever_is_torn_off_the_frames_before_it_are_read(tmp_path_factory: pytest.TempPathFactory,
                                                            packed: list[bytes], cut: int) -> None:
    path = written(tmp_path_factory.mktemp("j") / "a.log", packed)
    size = max(0, path.stat().st_size - cut)
    os.truncate(path, size)
    torn: list[Torn] = []
    kept = list(read(path, torn))
    assert kept == packed[:len(kept)]
    whole = sum(8 + len(one) for one in kept)
    assert [(one.offset, one.dropped_bytes) for one in torn] == ([(whole, size - whole)] if size > whole else [])


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_no_changed_byte_gets_through(tmp_path_factory: pytest.TempPathFactory, at: int, flip: int) -> None:
    packed = [pack(record(number)) for number in range(5)]
    path = written(tmp_path_factory.mktemp("j") / "a.log", packed)
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= flip
    path.write_bytes(data)
    assert all(one in packed for one in read(path))


def test_a_process_that_starts_again_appends(tmp_path: Path) -> None:
    written(tmp_path / "a.log", [b"1"])
    assert list(read(written(tmp_path / "a.log", [b"2"]))) == [b"1", b"2"]


def test_a_full_disk_is_an_error_and_leaves_what_was_written_readable(tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    log = Journal(tmp_path / "a.log")
    log.append(b"first")
    whole = os.write
    monkeypatch.setattr(journal.os, "write", lambda fd, data: whole(fd, data[:5]))
    with pytest.raises(OSError) as raised:
        log.append(b"second")
    assert raised.value.errno == errno.ENOSPC
    monkeypatch.undo()
    log.append(b"third")
    assert list(read(tmp_path / "a.log")) == [b"first", b"third"]


def test_compaction_removes_duplicates_and_files_by_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_ROWS_IN_MEMORY", 7)
    results = Results(tmp_path).create()
    all_of_them = [record(number, stage=number % 3) for number in range(40)]
    written(results.journal / "w0.log", [pack(one) for one in all_of_them[:25]])
    written(results.journal / "w1.log", [pack(one) for one in all_of_them[25:]])
    written(results.journal / "master.log", [pack(one) for one in all_of_them])
    for _ in range(2):
        done = compact(results)
        assert (done.records, done.duplicates, dict(done.by_stage)) == (40, 40, {0: 14, 1: 13, 2: 13})
        files = sorted(path.name for path in results.records.iterdir())
        assert files == ["stage-0000.parquet", "stage-0001.parquet", "stage-0002.parquet"]
        read_back = [one for name in files for one in from_table(pq.read_table(results.records / name))]
        assert sorted(read_back, key=lambda one: one.scheduled_ns) == all_of_them
        assert pq.read_schema(results.records / files[0]).metadata == SCHEMA.metadata


def test_compaction_tells_of_a_torn_end(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    path = written(results.journal / "w0.log", [pack(record(1)), pack(record(2))])
    os.truncate(path, path.stat().st_size - 3)
    done = compact(results)
    assert done.records == 1
    assert [torn.path for torn in done.torn] == [path]


def test_a_compaction_that_fails_leaves_no_half_file(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    written(results.journal / "w0.log", [pack(record(1)), b"\x90"])
    with pytest.raises(ValueError, match="not a record"):
        compact(results)
    assert list(results.records.iterdir()) == []
