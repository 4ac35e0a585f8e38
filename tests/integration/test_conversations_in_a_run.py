"""Conversations in a run: with served answers each turn's prompt is what was really said, by the server's own log."""

from __future__ import annotations

import itertools
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from fmload.emulator.truth import Truth
from fmload.model.record import Record, scenario_of
from fmload_analysis.pipeline import analyse
from tests.load_rig import HOLDS_SESSIONS, emulator, ids, run_file, sweep

FAST = ("--ttft", "20ms", "--gap", "3ms")
LOAD = {"concurrency": [4], "ramp": 0, "warmup": "1s", "window": "6s"}
TURNS = 8
HELD: dict[str, Any] = {"name": "talk", "source": "conversation", "turns": 5, "input_tokens": 12, "answer_tokens": 6,
                        "answers": "served", "count": 400}


def talks(records: list[Record], truths: list[Truth]) -> dict[str, list[tuple[Record, Truth]]]:
    """The turns of each session in their order, as records and as the server lived them."""
    of_server = {one.request_id: one for one in truths}
    found: dict[str, list[tuple[Record, Truth]]] = defaultdict(list)
    for record in sorted(records, key=lambda one: one.send_ns or 0):
        note = scenario_of(record.detail) or {}
        if "session" in note:
            found[note["session"]].append((record, of_server[record.request_id]))
    return found


@pytest.mark.parametrize("answers", ["served", "made_up"])
def test_what_later_turns_repeat_is_what_the_run_file_says(answers: str, tmp_path: Path) -> None:
    prompts: list[dict[str, Any]] = [{
        "name": "talk", "source": "conversation", "turns": TURNS, "input_tokens": 12, "answer_tokens": 6,
        "system_tokens": 20, "answers": answers, "count": 400}]
    with emulator(tmp_path, *FAST, "--truth-texts") as server:
        path = run_file(tmp_path, {"a": server.url}, LOAD, prompts=prompts)
        with sweep(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
        records = run.records()
        assert ids(records) == {one.request_id for one in server.requests()}
        found = talks(records, server.requests())
    whole = [turns for turns in found.values() if len(turns) == TURNS]
    assert whole
    for turns in found.values():
        for (_, before), (_, after) in itertools.pairwise(turns):
            assert before.asked is not None and after.asked is not None
            really_said = after.asked[:-1] == [*before.asked, before.said]
            assert really_said == (answers == "served")
            assert len(after.asked) == len(before.asked) + 2
    ended = {row["session"]: row["outcome"] for row in pq.read_table(run.results.sessions_parquet).to_pylist()}
    assert set(ended) == set(found) and set(ended.values()) <= {"finished", "cut"}
    assert all(len(turns) == TURNS for session, turns in found.items() if ended[session] == "finished")
    assert all(ended[session] == "finished" for session, turns in found.items()
               if len(turns) == TURNS and (turns[-1][0].end_ns or 0) < max(one.send_ns or 0 for one in records))
    analysis = analyse(tmp_path / "out")
    assert analysis.results[0].value("session_finished_share") == 1.0
    assert [one.turn for one in analysis.results[0].summary.turns] == list(range(TURNS))
    pages = "".join(page.read_text() for page in (tmp_path / "out").glob("*.md"))
    assert f"`answers: {answers}`" in pages


def test_a_question_that_failed_is_not_in_the_turns_after_it_by_the_servers_log(tmp_path: Path) -> None:
    prompts = [{"name": "talk", "source": "conversation", "turns": 4, "input_tokens": 12, "answer_tokens": 6,
                "answers": "served", "count": 400}]
    with emulator(tmp_path, *FAST, "--truth-texts", "--fault", "cut:after=2,share=0.1") as server:
        path = run_file(tmp_path, {"a": server.url}, LOAD, prompts=prompts)
        with sweep(tmp_path, path) as run:
            run.wait()
        found = talks(run.records(), server.requests())
    failed = 0
    for turns in found.values():
        said: list[str] = []
        for record, truth in turns:
            assert truth.asked is not None and truth.asked[:-1] == said
            failed += record.outcome != "ok"
            if record.outcome == "ok":
                said = [*truth.asked, truth.said or ""]
    assert failed
    outcomes = {row["session"]: row["outcome"] for row in pq.read_table(run.results.sessions_parquet).to_pylist()}
    lost = {session for session, turns in found.items() if any(record.outcome != "ok" for record, _ in turns)}
    assert {outcomes[session] for session in lost} <= {"failed", "cut"} and "failed" in outcomes.values()
    assert all(len(turns) == 4 for session, turns in found.items() if outcomes[session] == "finished")


@pytest.mark.parametrize("whole", [False, True], ids=["turn by turn", "as sessions"])
def test_a_conversation_that_the_server_holds_goes_on_by_what_is_new_and_it_reads_all_of_it(
        whole: bool, tmp_path: Path) -> None:
    """Responses with `session_state: server`: by the server's own log each turn goes on from the one before, and the
    input that it tells is that of the whole conversation."""
    with emulator(tmp_path, *FAST, "--truth-texts") as server:
        path = run_file(tmp_path, {"a": server.url}, {**LOAD, "sessions": whole}, HOLDS_SESSIONS, prompts=[HELD])
        with sweep(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
        found = talks(run.records(), server.requests())
    assert any(len(turns) == 5 for turns in found.values())
    for turns in found.values():
        assert turns[0][1].held_texts == 0
        assert all(record.outcome == "ok" and record.input_tokens == truth.input_tokens for record, truth in turns)
        for (_, before), (_, after) in itertools.pairwise(turns):
            assert before.asked is not None and after.asked is not None
            assert after.asked[:-1] == [*before.asked, before.said] and after.input_tokens > before.input_tokens
            assert after.held_texts == len(before.asked) + 1  # nothing but the new question was sent


def test_a_turn_that_asks_a_server_without_its_conversation_fails_and_the_next_one_sends_all_of_it(
        tmp_path: Path) -> None:
    """Two servers by turns, and neither holds what the other one was told."""
    with (emulator(tmp_path, *FAST, "--truth-texts") as one,
          emulator(tmp_path, *FAST, "--truth-texts", name="other") as other):
        path = run_file(tmp_path, {"a": one.url}, {**LOAD, "concurrency": [1]}, HOLDS_SESSIONS, prompts=[HELD])
        run_data = yaml.safe_load(path.read_text())
        del run_data["endpoints"][0]["url"]
        run_data["endpoints"][0]["urls"] = [f"{one.url}/v1", f"{other.url}/v1"]
        path.write_text(yaml.safe_dump(run_data))
        with sweep(tmp_path, path, processes=1) as run:
            run.wait()
        found = talks(run.records(), [*one.requests(), *other.requests()])
    lost = [record for turns in found.values() for record, _ in turns if record.outcome != "ok"]
    assert lost and {record.outcome for record in lost} == {"http_4xx"}
    assert all("Previous response with id" in (record.error or "") for record in lost)
    for turns in found.values():
        for (before, _), (after, truth) in itertools.pairwise(turns):
            if before.outcome != "ok":
                assert after.outcome == "ok" and truth.held_texts == 0
