"""Records are made of a folder's journals by one at a time, and what is journaled meanwhile is not forgotten."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fmload.model.record import pack
from fmload.results import journal
from fmload.results.folder import Results
from fmload.results.journal import Journal, compact
from fmload_analysis.run import _compact_if_needed
from tests.unit.results.test_journal import record, written

DAY_NS = 86_400 * 10**9


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A folder with a journal of three records that is a day old."""
    made = Results(tmp_path).create()
    path = written(made.journal / "w.log", [pack(record(number)) for number in range(3)])
    old_ns = path.stat().st_mtime_ns - DAY_NS
    os.utime(path, ns=(old_ns, old_ns))
    return made


def count(results: Results) -> int:
    return sum(pq.read_metadata(path).num_rows for path in results.records.glob("*.parquet"))


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something once all journals have been read, and nothing is named yet."""
    read = journal._frames

    def disturbed(*arguments: Any) -> Iterator[bytes]:
        yield from read(*arguments)
        monkeypatch.undo()
        act()
    monkeypatch.setattr(journal, "_frames", disturbed)


def test_another_compaction_of_the_folder_waits(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def compact_too() -> None:
        folder = os.open(results.root, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tried.append("waits")
        finally:
            os.close(folder)
    meanwhile(monkeypatch, compact_too)
    compact(results)
    assert tried == ["waits"]
    compact(results)  # nobody is left in


def test_what_is_journaled_while_records_are_made_is_in_the_next_report(results: Results,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    def go_on() -> None:
        log = Journal(results.journal / "w.log")
        log.append(pack(record(3)))
        log.close()
    meanwhile(monkeypatch, go_on)
    compact(results)
    assert count(results) == 3
    _compact_if_needed(results)
    assert count(results) == 4


def test_records_of_a_run_that_has_ended_are_made_once(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    compact(results)
    meanwhile(monkeypatch, lambda: pytest.fail("they are made again"))
    _compact_if_needed(results)
