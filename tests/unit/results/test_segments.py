"""A journal in several files, and what is packed away of it: every record stays, in order, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.model.record import pack as packed_record
from fmload.results import frames, packing
from fmload.results.folder import Results
from fmload.results.journal import Journal, Torn, compact, read
from fmload.results.segments import Segments
from tests.unit.results.test_journal import record, written

Told = list[tuple[Path, int]]


def segmented(path: Path, packed: list[bytes], at_most: int) -> Told:
    told: Told = []
    log = Segments(path, at_most, lambda file, count: told.append((file, count)))
    for one in packed:
        log.append(one)
    log.close()
    return told


def all_of(folder: Path) -> list[bytes]:
    return [packed for path in sorted(folder.glob("*.log"), key=lambda path: (len(path.name), path.name))
            for packed in read(path)]


@given(packed=st.lists(st.binary(min_size=1, max_size=300), max_size=40), at_most=st.integers(1, 1000))
def test_all_records_are_in_files_of_bounded_size_in_their_order(
        tmp_path_factory: pytest.TempPathFactory, packed: list[bytes], at_most: int) -> None:
    folder = tmp_path_factory.mktemp("s")
    told = segmented(folder / "w.log", packed, at_most)
    assert all_of(folder) == packed
    assert len(list(folder.glob("*.log"))) == len(told) + 1
    assert [count for _, count in told] == sorted({count for _, count in told})
    for file, count in told:
        held = [one for path, _ in told[:told.index((file, count)) + 1] for one in read(path)]
        assert held == packed[:count]
        assert sum(map(len, read(file))) < at_most + 300


def test_a_file_that_was_there_before_is_gone_on_with_and_never_told_as_complete(tmp_path: Path) -> None:
    written(tmp_path / "w.log", [b"old" * 10])
    written(tmp_path / "w.0001.log", [b"older" * 10])
    told = segmented(tmp_path / "w.log", [b"%02d" % n * 10 for n in range(5)], 50)
    assert [file.name for file, _ in told] == ["w.0002.log"]
    assert {b"old" * 10, b"older" * 10} < set(all_of(tmp_path))


@given(packed=st.lists(st.binary(min_size=1, max_size=200), max_size=60), block=st.integers(5, 500))
def test_a_file_that_is_packed_away_holds_the_same_records(tmp_path_factory: pytest.TempPathFactory,
                                                           packed: list[bytes], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "BLOCK_BYTES", block)
        path = written(tmp_path_factory.mktemp("p") / "w.log", packed)
        assert packing.pack(path) and list(read(path)) == packed
        assert not packing.pack(path) and list(read(path)) == packed
        assert [file.name for file in path.parent.iterdir()] == ["w.log"]


def long_journal(path: Path, count: int = 3000) -> list[bytes]:
    packed = [packed_record(record(number)) for number in range(count)]
    written(path, packed)
    return packed


def test_it_takes_less_room_and_a_damaged_bit_costs_one_block_of_it(tmp_path: Path) -> None:
    packed = long_journal(tmp_path / "w.log")
    before = (tmp_path / "w.log").stat().st_size
    packing.pack(tmp_path / "w.log")
    data = bytearray((tmp_path / "w.log").read_bytes())
    assert len(data) < before / 3
    data[len(data) // 2] ^= 1
    (tmp_path / "w.log").write_bytes(data)
    torn: list[Torn] = []
    kept = list(read(tmp_path / "w.log", torn))
    assert len(torn) == 1 and set(kept) < set(packed)
    assert sum(map(len, set(packed) - set(kept))) <= frames.BLOCK_BYTES


def test_a_damaged_file_stays_as_it_is(tmp_path: Path) -> None:
    long_journal(tmp_path / "w.log", 100)
    data = bytearray((tmp_path / "w.log").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "w.log").write_bytes(data)
    assert not packing.pack(tmp_path / "w.log")
    assert (tmp_path / "w.log").read_bytes() == data and len(list(tmp_path.iterdir())) == 1


def test_a_disk_without_room_leaves_the_file_as_it_was_and_nothing_beside_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = long_journal(tmp_path / "w.log", 100)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        packing.pack(tmp_path / "w.log")
    assert list(read(tmp_path / "w.log")) == packed and len(list(tmp_path.iterdir())) == 1


def test_a_block_that_would_open_to_more_than_a_block_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(frames, "BLOCK_BYTES", 1 << 24)
        bomb, = frames.blocks(iter([bytes(1 << 23)]))
    (tmp_path / "w.log").write_bytes(frames.PACKED_HEADER + bomb + frames.framed(b"after it"))
    torn: list[Torn] = []
    assert list(read(tmp_path / "w.log", torn)) == [b"after it"] and torn


def test_a_version_before_blocks_refuses_such_a_file_by_the_rule_that_it_has(tmp_path: Path) -> None:
    """It refuses a later version in the file's header, unless a frame of its own stands behind that."""
    long_journal(tmp_path / "w.log", 10)
    packing.pack(tmp_path / "w.log")
    data = (tmp_path / "w.log").read_bytes()
    assert data.startswith(frames.MAGIC) and data[len(frames.MAGIC)] == 3
    assert data[len(frames.HEADER):].startswith(frames.BLOCK_MARK) and frames.BLOCK_MARK != frames.MARK


def test_records_are_made_of_plain_and_packed_files_each_once(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    packed = [packed_record(record(number)) for number in range(50)]
    told = segmented(results.journal / "master-1.log", packed, 2000)
    assert len(told) > 1 and all(packing.pack(path) for path, _ in told)
    log = Journal(results.journal / "w.log")  # the worker's own, of the newest
    for one in packed[-20:]:
        log.append(one)
    log.close()
    done = compact(results)
    assert (done.records, done.duplicates, done.told()) == (50, 20, [])
