"""Sessions in the journals: frames of their own, in sessions.parquet, and in nothing else."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import msgpack
import pyarrow.parquet as pq

from fmload.model.record import Record, pack
from fmload.model.session import Session
from fmload.results import answers, journal, sessions
from fmload.results.folder import Results

SESSION = Session("s1", "chat", "Person", "w", 0, "e", "scenario", 10, 90, "finished", 2, 0, 60, 5, 15)


def test_a_session_is_a_map_that_its_first_byte_tells() -> None:
    frame = sessions.pack(SESSION)
    assert answers.is_answer(frame) and sessions.is_session(msgpack.unpackb(frame))
    assert not answers.is_kept(msgpack.unpackb(frame))


def test_compaction_puts_sessions_beside_the_records_each_once(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    record = Record("r1", "w", 0, "e", "scenario", "p", 0, send_ns=1, end_ns=2)
    for name in ("w.log", "master.log"):  # the master journals what it receives, too
        log = journal.Journal(results.journal / name)
        for frame in (pack(record), sessions.pack(SESSION)):
            log.append(frame)
        log.close()
    done = journal.compact(results)
    assert (done.records, done.answers, done.set_aside) == (1, 0, [])
    assert pq.read_table(results.sessions_parquet).to_pylist() == [asdict(SESSION)]
    assert not results.answers_parquet.exists()
    assert journal.answer_bytes(results) == journal.text_bytes(results) == 0
