"""A worker keeps in its journal what the master does not have, and the newest of what it has; the rest goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.protocol.delivery import Outbox
from fmload.results.journal import read
from fmload.worker import spool
from fmload.worker.spool import Spool

FRAME = 10


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 5 * FRAME)


def frame(number: int) -> bytes:
    return f"{number:0{FRAME}d}".encode()


def kept(folder: Path) -> set[int]:
    return {int(packed) for path in folder.glob("*.log") for packed in read(path)}


def add(log: Spool, outbox: Outbox, numbers: range) -> None:
    for number in numbers:
        log.append(frame(number))
        outbox.add(frame(number))


def test_what_the_master_has_not_acknowledged_stays(tmp_path: Path) -> None:
    outbox = Outbox()
    add(Spool(tmp_path / "w.log", outbox), outbox, range(100))
    assert kept(tmp_path) == set(range(100))


def test_of_what_it_has_three_files_stay_at_most_the_newest(tmp_path: Path) -> None:
    outbox = Outbox()
    log = Spool(tmp_path / "w.log", outbox)
    for begin in range(0, 1000, 10):
        add(log, outbox, range(begin, begin + 10))
        assert kept(tmp_path) >= set(range(outbox.acknowledged, begin + 10))
        assert len(list(tmp_path.glob("*.log"))) <= 4
        outbox.acknowledge(begin + 10)
    assert kept(tmp_path) >= set(range(990, 1000)) and len(list(tmp_path.glob("*.log"))) <= 3


def test_a_file_goes_only_when_all_of_it_is_acknowledged(tmp_path: Path) -> None:
    outbox = Outbox()
    log = Spool(tmp_path / "w.log", outbox)
    add(log, outbox, range(20))
    outbox.acknowledge(9)
    add(log, outbox, range(20, 40))
    assert kept(tmp_path) == set(range(5, 40))


def test_the_journal_of_an_earlier_session_is_not_taken_for_acknowledged(tmp_path: Path) -> None:
    before = Outbox()
    log = Spool(tmp_path / "w.log", before)
    add(log, before, range(3))
    log.close()
    after = Outbox()
    log = Spool(tmp_path / "w.log", after)
    for number in range(100, 140):
        add(log, after, range(number, number + 1))
        after.acknowledge(after.added)
    assert kept(tmp_path) >= {0, 1, 2}
