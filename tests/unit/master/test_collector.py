"""The master's ledger: what the disk refuses ends the run once; counts of workers; messages that are none."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from fmload.base.errors import EXIT_DISK_FULL, FmloadError
from fmload.master import collector as collecting
from fmload.master.collector import Collector
from fmload.model.record import pack
from fmload.model.stage import Load, Stage
from fmload.protocol.messages import Ack, Event, Flushed, Idle, Message, Records
from fmload.results import stage_file
from fmload.results.folder import Results
from tests.handmade import request


class Link:
    """Keeps what the master sends."""

    def __init__(self) -> None:
        self.sent: list[tuple[str | None, Message]] = []

    def send(self, message: Message, worker: str | None = None) -> None:
        self.sent.append((worker, message))


def collector_in(folder: Path) -> tuple[Collector, Link]:
    link = Link()
    made = Collector(Results(folder), "r", link)
    made.stages = [Stage(0, 0, 0, "e", "p", Load("concurrency", 1), {}, 0.0, 0.0, 1.0, None, 1.0)]
    made.running = made.stages
    return made, link


def batch(first: int, *names: str) -> Records:
    return Records("r", first, [pack(request(name, 1, [2])) for name in names], {0: first + len(names)})


def test_a_record_is_acknowledged_once_it_is_journaled(tmp_path: Path) -> None:
    collector, link = collector_in(tmp_path)
    collector.on_records("w", batch(0, "a", "b"))
    assert link.sent == [("w", Ack("r", 2))]


def test_a_full_disk_is_told_once_and_nothing_more_is_acknowledged(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector, link = collector_in(tmp_path)
    told: list[FmloadError] = []
    collector.on_trouble = told.append

    def full(packed: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    collector.on_records("w", batch(0, "a"))
    monkeypatch.setattr(collector._journal, "append", full)
    for _ in range(3):
        collector.on_records("w", batch(1, "b"))
    monkeypatch.undo()
    collector.on_records("w", batch(1, "b"))
    assert [message for _, message in link.sent] == [Ack("r", 1)]
    assert len(told) == 1 and told[0].exit_code == EXIT_DISK_FULL and "disk full" in str(told[0])
    assert not (tmp_path / "logs" / ".reserve").exists(), "the room that was kept is given back"
    stage, = stage_file.read(collector.results).stages
    assert [mark.kind for mark in stage.marks] == ["disk_full"]


@pytest.mark.parametrize("writes", ["write_stages", "write_workers", "write_live"])
def test_no_file_that_the_disk_refuses_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: str) -> None:
    collector, _ = collector_in(tmp_path)

    def full(*given: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for module in (collecting, stage_file, collecting.worker_file):
        monkeypatch.setattr(module, "write_whole", full)
    getattr(collector, writes)()
    assert collector.trouble is not None and collector.trouble.exit_code == EXIT_DISK_FULL


def test_a_stage_knows_how_many_records_its_workers_made(tmp_path: Path) -> None:
    collector, _ = collector_in(tmp_path)
    collector.on_records("w1", batch(0, "a", "b"))
    collector.on_idle("w2", Idle(0, {0: 5, 3: 1}))
    collector.on_flushed("w2", Flushed("r", 7, {0: 6, 3: 1}))
    collector.write_stages()
    stage, = stage_file.read(collector.results).stages
    assert stage.records == 8


def test_what_did_not_come_is_told_with_its_number(tmp_path: Path) -> None:
    collector, _ = collector_in(tmp_path)
    collector.on_records("w", batch(0, "a"))
    assert "unknown number" in collector.short_of("w")
    collector.on_flushed("w", Flushed("r", 12))
    assert collector.missing(["w"]) == ["w"] and collector.short_of("w").startswith("11 of its records")


def test_messages_that_are_none_are_an_event_at_first_and_counted_at_the_end(tmp_path: Path) -> None:
    collector, _ = collector_in(tmp_path)
    for number in range(100):
        collector.drop(f"garbage {number}")
    collector.on_event("w", Event("journal_failed", "x"))
    collector.close()
    events = [json.loads(line) for line in collector.results.events_jsonl.read_text().splitlines()]
    dropped = [event["detail"] for event in events if event["kind"] == "message_dropped"]
    assert dropped == ["garbage 0", "100 messages in all were dropped"]
    assert [mark.kind for mark in collector.stages[0].marks] == ["journal_failed"], "garbage marks no stage"
