from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from fmload import answers
from fmload.endpoints.base import Chunk, Reading
from fmload.journal import Journal, compact
from fmload.record import pack
from fmload.results import Results
from tests.unit.load.one_record import record

READING = Reading([Chunk(1, channel="reasoning", text="Hm."), Chunk(2, text="For"), Chunk(3, text="ty")])


def test_an_answer_is_the_text_of_the_answer_with_the_reasoning_beside_it() -> None:
    row = answers.unpack(answers.pack(record(), READING))
    assert (row["request_id"], row["text"], row["reasoning"]) == ("id", "Forty", "Hm.")
    assert answers.unpack(answers.pack(record(), Reading()))["reasoning"] is None


def test_a_long_answer_is_cut_at_a_character_and_says_so() -> None:
    long = Reading([Chunk(1, text="é" * answers.LIMIT_BYTES)])
    row = answers.unpack(answers.pack(record(), long))
    assert row["cut"] and row["text"] == "é" * (answers.LIMIT_BYTES // 2)
    whole = answers.unpack(answers.pack(record(), Reading([Chunk(1, text="x" * answers.LIMIT_BYTES)])))
    assert not whole["cut"] and len(whole["text"]) == answers.LIMIT_BYTES
    odd = answers.unpack(answers.pack(record(), Reading([Chunk(1, text="x" + "é" * answers.LIMIT_BYTES)])))
    assert odd["text"] == "x" + "é" * (answers.LIMIT_BYTES // 2 - 1)


def test_frames_of_answers_and_records_are_told_apart() -> None:
    assert answers.is_answer(answers.pack(record(), READING))
    assert not answers.is_answer(pack(record()))


def test_answers_share_the_journal_with_the_records(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    for name in ("w0.log", "master.log"):
        log = Journal(results.journal / name)
        log.append(pack(record()))
        log.append(answers.pack(record(), READING))
        log.close()
    done = compact(results)
    assert (done.records, done.answers, done.duplicates) == (1, 1, 2)
    table = pq.read_table(results.answers_parquet)
    assert table.schema.names == answers.SCHEMA.names
    assert table.column("text").to_pylist() == ["Forty"]
