from __future__ import annotations

import errno
import json
import os
import struct
import zlib
from array import array
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fmload.base.errors import EXIT_DISK_FULL, FmloadError
from fmload.model.record import SCHEMA, Record, from_table, pack
from fmload.results import frames, journal, once
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


@given(packed=st.lists(st.binary(min_size=1, max_size=50), max_size=8), cut=st.integers(0, 400))
def test_whatever_is_torn_off_the_frames_before_it_are_read(tmp_path_factory: pytest.TempPathFactory,
                                                            packed: list[bytes], cut: int) -> None:
    path = written(tmp_path_factory.mktemp("j") / "a.log", packed)
    size = max(0, path.stat().st_size - cut)
    os.truncate(path, size)
    torn: list[Torn] = []
    kept = list(read(path, torn))
    assert kept == packed[:len(kept)]
    whole = len(frames.HEADER) * (size >= len(frames.HEADER)) + sum(len(frames.framed(one)) for one in kept)
    assert [(one.offset, one.dropped_bytes) for one in torn] == ([(whole, size - whole)] if size > whole else [])


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
@example(at=len(frames.MAGIC), flip=1)  # the version in the file's header
def test_no_changed_byte_gets_through(tmp_path_factory: pytest.TempPathFactory, at: int, flip: int) -> None:
    packed = [pack(record(number)) for number in range(5)]
    path = written(tmp_path_factory.mktemp("j") / "a.log", packed)
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= flip
    path.write_bytes(data)
    kept = list(read(path))
    assert all(one in packed for one in kept)
    assert len(kept) >= len(packed) - 1, "one byte costs one record at most"


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


def test_a_compaction_that_fails_leaves_no_half_file_and_says_that_the_disk_is_full(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(tmp_path).create()
    written(results.journal / "w0.log", [pack(record(1)), pack(record(2, stage=1))])

    def full(self: object, table: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal.pq.ParquetWriter, "write_table", full)
    with pytest.raises(FmloadError, match="disk full") as caught:
        compact(results)
    assert caught.value.exit_code == EXIT_DISK_FULL and "fmload report" in str(caught.value.hint)
    assert list(results.records.iterdir()) == []


@pytest.mark.parametrize("poison", [
    {"output_tokens": 2**40}, {"status": "ok"}, {"prompt_id": 7}, {"stage": "x"}, {"chunk_tokens": array("q", [9, 1])},
    {"error": b"\xff"}])
def test_a_value_that_parquet_refuses_costs_that_record_alone_and_is_told(
        tmp_path: Path, poison: dict[str, Any]) -> None:
    results = Results(tmp_path).create()
    bad = record(17)
    for name, value in poison.items():
        setattr(bad, name, value)
    written(results.journal / "w0.log", [pack(record(number)) for number in range(17)] + [pack(bad)]
            + [pack(record(number)) for number in range(18, 40)])
    done = compact(results)
    assert (done.records, done.set_aside_in_all, dict(done.by_stage)) == (39, 1, {0: 39})
    there = from_table(pq.read_table(results.records / "stage-0000.parquet"))
    assert [one.scheduled_ns for one in there] == [number for number in range(40) if number != 17]
    told = json.loads(results.compaction_json.read_text())
    assert told["set_aside_in_all"] == 1 and told["set_aside"][0]["why"]


def test_frames_that_are_no_record_are_set_aside(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    written(results.journal / "w0.log", [pack(record(1)), b"\x90", b"", b"\xc1", b"\x80", pack(record(2))])
    done = compact(results)
    assert (done.records, done.set_aside_in_all, len(done.torn)) == (2, 3, 1)


def old(packed: bytes) -> bytes:
    """A frame as version 1 wrote it."""
    return struct.pack("<II", len(packed), zlib.crc32(packed)) + packed


@pytest.mark.parametrize("form", [frames.framed, old])
def test_damage_in_the_middle_costs_what_it_hits_and_no_more(tmp_path: Path, form: Any) -> None:
    packed = [pack(record(number)) for number in range(200)]
    path = tmp_path / "a.log"
    header = frames.HEADER if form is frames.framed else b""
    data = bytearray(header + b"".join(map(form, packed)))
    for number in (66, 100):
        before = sum(len(form(one)) for one in packed[:number])
        data[len(header) + before + len(form(packed[number])) // 2] ^= 4
    path.write_bytes(data)
    torn: list[Torn] = []
    kept = list(read(path, torn))
    assert kept == [one for number, one in enumerate(packed) if number not in (66, 100)] and len(torn) == 2


@given(at=st.integers(0, 10_000), length=st.integers(1, 300), fill=st.sampled_from([0, 255, 0xc1]))
@example(at=len(frames.MAGIC), length=2, fill=255)  # the version in the file's header, and the first frame's mark
def test_a_damaged_stretch_costs_the_frames_that_it_touches(tmp_path_factory: pytest.TempPathFactory, at: int,
                                                           length: int, fill: int) -> None:
    packed = [pack(record(number)) for number in range(20)]
    path = written(tmp_path_factory.mktemp("j") / "a.log", packed)
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at:at + length] = bytes([fill]) * len(data[at:at + length])
    path.write_bytes(data)
    touched, offset = set(), len(frames.HEADER)
    for number, one in enumerate(packed):
        end = offset + len(frames.framed(one))
        if offset < at + length and at < end:
            touched.add(number)
        offset = end
    kept = list(read(path))
    assert all(one in packed for one in kept)
    assert set(range(20)) - touched <= {packed.index(one) for one in kept}


@pytest.mark.parametrize("form", [frames.framed, old])
def test_a_tail_of_zeros_after_a_power_cut_is_a_torn_tail(tmp_path: Path, form: Any) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(form(pack(record(1))) + bytes(4096))
    torn: list[Torn] = []
    assert list(read(path, torn)) == [pack(record(1))] and [one.dropped_bytes for one in torn] == [4096]


def test_journals_of_the_first_version_are_read_and_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"".join(old(pack(record(number))) for number in range(3)))
    written(path, [pack(record(3))])
    assert list(read(path)) == [pack(record(number)) for number in range(4)]


def test_a_journal_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(frames.MAGIC + b"\x63" + frames.MARK[:-1] + b"\x63whatever")
    with pytest.raises(FmloadError, match="journal of version 99; this fmload reads up to 3"):
        list(read(path))


@pytest.mark.parametrize("records", [1, 20])
@pytest.mark.parametrize("damage", [
    b"\x63\xc1FM\x64", b"\x04\xc1FM\x05", b"\xff" * 5, b"\x63" + bytes(12), b"\xff" * 60,
], ids=["both versions", "both to near ones", "version and mark", "and the length", "and the record"])
def test_a_journal_whose_header_and_first_mark_are_destroyed_is_damaged_and_of_no_later_version(
        tmp_path: Path, damage: bytes, records: int) -> None:
    packed = [pack(record(number)) for number in range(records)]
    path = written(tmp_path / "a.log", packed)
    data, begin = path.read_bytes(), len(frames.MAGIC)
    path.write_bytes(data[:begin] + damage + data[begin + len(damage):])
    torn: list[Torn] = []
    kept = list(read(path, torn))
    assert kept in (packed, packed[1:])
    assert [one.offset for one in torn] == [len(frames.HEADER)]


def test_a_journal_whose_first_frame_is_of_a_later_version_is_refused_though_others_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(frames.MAGIC + b"\x63" + frames.MARK[:-1] + b"\x63whatever" + frames.framed(pack(record(1))))
    with pytest.raises(FmloadError, match="journal of version 99"):
        list(read(path))


@pytest.mark.parametrize("data", [
    frames.MARK * 100_000, (frames.MARK + b"\xff\xff\x00\x00" + bytes(4)) * 30_000,
    (frames.MARK + b"\xff\xff\xff\x00" + bytes(4)) * 30_000, b"\xdc\x00" * 200_000,
    (struct.pack("<II", 300_000, 0) + b"\xdc\x00") * 30_000], ids=["marks", "short", "long", "first version", "claims"])
def test_a_journal_made_to_be_slow_is_read_in_proportion_to_its_size(data: bytes) -> None:
    steps, checked = 0, zlib.crc32

    def counting(packed: bytes) -> int:
        nonlocal steps
        steps += len(packed)
        return checked(packed)

    frames.zlib.crc32, before = counting, frames.zlib.crc32  # type: ignore[attr-defined]
    try:
        assert all(isinstance(one, frames.Gap) for one in frames.scan(data))
    finally:
        frames.zlib.crc32 = before  # type: ignore[attr-defined]
    assert steps <= 20 * len(data) + 2 * 10**6


def test_what_was_seen_is_known_again_over_many_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "_PENDING", 7)
    seen = once.Once()
    numbers = [b"%d" % number for number in range(100)]
    assert all(map(seen.is_new, numbers)) and not any(map(seen.is_new, numbers))
