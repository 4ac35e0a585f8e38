from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from fmload.base import redaction
from fmload.base.clock_offset import boot_id
from fmload.config import parse
from fmload.master.assignment import Assignment
from fmload.model.prompt import Prompt
from fmload.model.reading import Chunk, Reading
from fmload.model.record import pack
from fmload.prompts import store
from fmload.protocol.messages import PROTOCOL_VERSION, Event, Message, Plan
from fmload.results import answers, texts
from fmload.results.folder import Results
from fmload.results.journal import Journal, answer_bytes, compact, read
from fmload.worker.worker import Worker
from tests.kept_messages import Link
from tests.one_record import record

EACH = 1024
RUN = """
name: t
endpoints: [{name: e, protocol: openai, url: 'http://h/v1'}]
prompts: [{name: p, source: synthetic, input_tokens: 5}]
load: {rate: [10]}
"""
READING = Reading([Chunk(1, channel="reasoning", text="Hm."), Chunk(2, text="For"), Chunk(3, text="ty")])


def test_an_answer_is_the_text_of_the_answer_with_the_reasoning_beside_it() -> None:
    row = answers.unpack(answers.pack(record(), READING, EACH))
    assert (row["request_id"], row["text"], row["reasoning"]) == ("id", "Forty", "Hm.")
    assert answers.unpack(answers.pack(record(), Reading(), EACH))["reasoning"] is None


def test_calls_of_tools_are_kept_with_their_names_and_arguments() -> None:
    called = Reading([Chunk(1, channel="tool", text="weather"), Chunk(2, channel="tool", text='{"city": "Bonn"}')])
    row = answers.unpack(answers.pack(record(), called, EACH))
    assert (row["text"], row["tools"], row["cut"]) == ("", 'weather{"city": "Bonn"}', False)
    assert answers.unpack(answers.pack(record(), called, 8))["cut"]
    assert answers.unpack(answers.pack(record(), READING, EACH))["tools"] is None


def test_a_long_answer_is_cut_at_a_character_and_says_so() -> None:
    def kept(text: str) -> dict[str, Any]:
        return answers.unpack(answers.pack(record(), Reading([Chunk(1, text=text)]), EACH))

    row = kept("é" * EACH)
    assert row["cut"] and row["text"] == "é" * (EACH // 2)
    whole = kept("x" * EACH)
    assert not whole["cut"] and len(whole["text"]) == EACH
    assert kept("x" + "é" * EACH)["text"] == "x" + "é" * (EACH // 2 - 1)


def test_only_so_much_of_an_answer_is_searched_for_secrets_as_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search takes a fifth of a second a megabyte: an answer of 60 MB kept the worker from its master."""
    searched: list[int] = []

    def counting(text: str) -> str:
        searched.append(len(text))
        return text

    monkeypatch.setattr(answers, "without_secrets", counting)
    monkeypatch.setattr(texts, "blanked", counting)
    endless = Reading([Chunk(n, text="x" * 1000) for n in range(1000)])
    assert answers.unpack(answers.pack(record(), endless, EACH))["cut"]
    uncounted = record()
    uncounted.tokens_source = "chunks"
    assert texts.TextKeeper(EACH, 10 * EACH).keep(uncounted, endless) is None
    assert sum(searched) <= 8 * EACH
    assert texts.TextKeeper(EACH, 10 * EACH).keep(uncounted, READING) is not None


def test_a_secret_at_the_cut_of_an_answer_is_blanked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_forms", {})
    redaction.protect(secret := "zq7-secret-of-the-run-9x")
    for before in range(EACH - len(secret) - 2, EACH + 2):
        text = answers.unpack(answers.pack(record(), Reading([Chunk(1, text="." * before + secret)]), EACH))["text"]
        assert not any(secret[at:at + 8] in text for at in range(len(secret) - 7))
        assert not text.endswith(tuple(secret[:length] for length in range(4, 8)))


def test_once_an_answer_is_too_much_no_shorter_one_is_kept_either() -> None:
    size = len(answers.pack(record(), READING, EACH))
    keeper = answers.Keeper(EACH, 2 * size)
    assert keeper.keep(record(), READING) and keeper.keep(record(), READING)
    assert keeper.keep(record(), READING) is None
    keeper = answers.Keeper(EACH, size)
    assert keeper.keep(record(), Reading([Chunk(1, text="x" * size)])) is None
    assert keeper.keep(record(), READING) is None


def test_a_worker_that_may_keep_no_more_says_so_once_and_goes_on_measuring(tmp_path: Path) -> None:
    link = Link()
    worker = Worker(link, "w", lambda *_: None)
    worker.on_plan(Plan(
        run={}, run_id="r", index=0, trial=False, prompts={"p": 1}, begins={}, limits={}, boot_id=boot_id(),
        host=socket.gethostname(), journal=str(tmp_path), protocol=PROTOCOL_VERSION,
        answers={"each_bytes": EACH, "left_bytes": len(answers.pack(record(), READING, EACH))}))
    for _ in range(3):
        worker._keep(record(), READING)
    frames = [answers.is_answer(packed) for packed in read(tmp_path / "w.log")]
    assert frames == [False, True, False, False]
    event, = link.sent
    assert isinstance(event, Event) and event.kind == answers.ANSWERS_FULL and "keep_answers.total" in event.detail


def test_a_resumed_run_may_keep_what_earlier_sessions_left_of_the_limit(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    frame = answers.pack(record(), READING, EACH)
    for name in ("w0.log", "master.log"):  # the same answer, with the worker and with the master
        log = Journal(results.journal / name)
        log.append(frame)
        log.close()
    store.write(results.prompts / "p.jsonl", [Prompt("p-0", "p", text="x")])
    assert answer_bytes(results) == len(frame)
    assert plan_for(results, f"{{total: {len(frame) + 100}B, each: 2KiB}}") == {"each_bytes": 2048, "left_bytes": 25}
    assert plan_for(results, f"{{total: {len(frame) - 1}B}}")["left_bytes"] == 0
    assert plan_for(results, "true")["each_bytes"] == 64 * 1024
    assert plan_for(results, "false") is None


def plan_for(results: Results, keep_answers: str) -> Any:
    """What one worker of four may keep."""
    sent: list[Message] = []
    run = parse(RUN + f"keep_answers: {keep_answers}\n", "run.yml", results.root)
    registry = SimpleNamespace(send=lambda message, worker: sent.append(message))
    Assignment(run, "r", results, 4).give_plan(registry, "w", 0, trial=False)  # type: ignore[arg-type]
    return next(message.answers for message in sent if isinstance(message, Plan))


def test_frames_of_answers_and_records_are_told_apart() -> None:
    assert answers.is_answer(answers.pack(record(), READING, EACH))
    assert not answers.is_answer(pack(record()))


def test_answers_share_the_journal_with_the_records(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    for name in ("w0.log", "master.log"):
        log = Journal(results.journal / name)
        log.append(pack(record()))
        log.append(answers.pack(record(), READING, EACH))
        log.close()
    done = compact(results)
    assert (done.records, done.answers, done.duplicates) == (1, 1, 2)
    table = pq.read_table(results.answers_parquet)
    assert table.schema.names == answers.SCHEMA.names
    assert table.column("text").to_pylist() == ["Forty"]
