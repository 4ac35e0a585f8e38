"""Agents in a run: what each request carries by the server's own log, the closed form of durations, and what is cut."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fmload.emulator.truth import Truth
from fmload.model.record import Record, scenario_of
from fmload.prompts import store
from fmload_analysis.pipeline import analyse
from tests.load_rig import HOLDS_SESSIONS, emulator, ids, run_file, sweep

TTFT_S, GAP_S, SEARCH_S, CALC_S = 0.1, 0.01, 0.3, 0.06
SERVER = ("--ttft", "100ms", "--gap", "10ms", "--truth-texts")
AGENT: dict[str, Any] = {
    "name": "job", "source": "agents", "system_tokens": 20, "count": 200, "tools": {"search": "300ms", "calc": "60ms"},
    "steps": [
        {"ask": "plan", "input_tokens": 20, "output_tokens": 5},
        {"parallel": [{"tool": "search"},
                      {"agent": "reader", "steps": [{"ask": "read", "input_tokens": 9, "output_tokens": 10}]}]},
        {"ask": "check", "output_tokens": 4},
        {"tool": "calc"},
        {"ask": "write", "output_tokens": 8}]}
LOAD: dict[str, Any] = {"concurrency": [4], "ramp": 0, "warmup": "1s", "window": "7s"}


def answer_s(tokens: int) -> float:
    """The emulator's: the first token, and a gap before each other."""
    return TTFT_S + (tokens - 1) * GAP_S


DURATION_S = answer_s(5) + max(SEARCH_S, answer_s(10)) + answer_s(4) + CALC_S + answer_s(8)


def of_sessions(records: list[Record], truths: list[Truth]) -> dict[str, dict[str, tuple[Record, Truth]]]:
    """The requests of each session by the names of their steps."""
    of_server = {one.request_id: one for one in truths}
    found: dict[str, dict[str, tuple[Record, Truth]]] = {}
    for record in records:
        note = scenario_of(record.detail) or {}
        found.setdefault(note["session"], {})[note["name"]] = record, of_server[record.request_id]
    return found


@pytest.mark.parametrize("calls", ["simulated", "forced"])
def test_an_agent_takes_its_closed_form_and_says_what_was_really_said(calls: str, tmp_path: Path) -> None:
    with emulator(tmp_path, *SERVER) as server:
        path = run_file(tmp_path, {"a": server.url}, LOAD, prompts=[{**AGENT, "tool_calls": calls}])
        with sweep(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
        records, truths = run.records(), server.requests()
    assert ids(records) == {one.request_id for one in truths}
    ended = {row["session"]: row for row in pq.read_table(run.results.sessions_parquet).to_pylist()}
    found = of_sessions(records, truths)
    assert set(found) == set(ended)
    finished = {session: row for session, row in ended.items() if row["outcome"] == "finished"}
    assert len(finished) >= 8 and {row["outcome"] for row in ended.values()} <= {"finished", "cut"}
    for session, row in finished.items():
        steps = found[session]
        assert set(steps) == {"plan", "read", "check", "write"}
        _said_what_was_said(steps, calls)
        _took_its_closed_form(steps, row)
    analysis = analyse(tmp_path / "out")
    result, = analysis.results
    assert result.value("session_finished_share") == 1.0 and result.summary.stage.load.sessions
    assert (result.value("session_duration_min") or 0.0) >= DURATION_S - 0.002
    checks = {check.name: check for check in result.checks}
    assert checks["achieved = offered"].figures["offered"] == 4
    assert "sessions under way" in checks["achieved = offered"].sentence


def _said_what_was_said(steps: dict[str, tuple[Record, Truth]], calls: str) -> None:
    """What the server was asked holds what it answered before."""
    asked = {name: truth.asked or [] for name, (_, truth) in steps.items()}
    assert asked["check"][:2] == asked["plan"] and asked["write"][:len(asked["check"])] == asked["check"]
    assert len(asked["read"]) == 1 and steps["read"][1].said in asked["check"][-1]
    if calls == "simulated":
        assert asked["check"][2] == steps["plan"][1].said and len(asked["check"]) == 4
        assert asked["write"][-2] == steps["check"][1].said and asked["write"][-1].startswith("calc: ")


def _took_its_closed_form(steps: dict[str, tuple[Record, Truth]], row: dict[str, Any]) -> None:
    """The parts of the critical path are those of the arithmetic: tools never shorter than drawn, requests as their
    own records say, and nothing is left but the client's own time."""
    path = [steps[name][0] for name in ("plan", "check", "write")]
    waits = sum((record.first_token_ns or 0) - (record.send_ns or 0) for record in path)
    decodes = sum((record.last_token_ns or 0) - (record.first_token_ns or 0) for record in path)
    tools, read = row["path_tools_ns"], steps["read"][0]
    if tools < SEARCH_S * 1e9:  # a machine so busy that the sub-agent took longer than the search
        waits += (read.first_token_ns or 0) - (read.send_ns or 0)
        decodes += (read.last_token_ns or 0) - (read.first_token_ns or 0)
    assert (row["path_waiting_ns"], row["path_decoding_ns"]) == (waits, decodes)
    assert tools >= (CALC_S + SEARCH_S * (tools >= SEARCH_S * 1e9)) * 1e9
    duration = row["end_ns"] - row["begin_ns"]
    assert duration >= waits + decodes + tools
    assert duration >= (DURATION_S - 0.002) * 1e9
    assert row["requests"] == 4 and row["thinking_ns"] == 0


@pytest.mark.parametrize("calls", ["simulated", "forced"])
def test_a_server_that_holds_sessions_is_sent_what_is_new_alone_and_reads_all_of_it(calls: str, tmp_path: Path) -> None:
    with emulator(tmp_path, *SERVER) as server:
        path = run_file(tmp_path, {"a": server.url}, LOAD, HOLDS_SESSIONS, prompts=[{**AGENT, "tool_calls": calls}])
        with sweep(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
        records, truths = run.records(), server.requests()
    assert ids(records) == {one.request_id for one in truths} and {one.outcome for one in records} == {"ok"}
    assert all(record.input_tokens == truth.input_tokens for steps in of_sessions(records, truths).values()
               for record, truth in steps.values())
    rows = pq.read_table(run.results.sessions_parquet).to_pylist()
    finished = [row["session"] for row in rows if row["outcome"] == "finished"]
    assert finished
    for session in finished:
        steps = of_sessions(records, truths)[session]
        _said_what_was_said(steps, calls)
        truth = {name: one for name, (_, one) in steps.items()}
        whole = {name: len(one.asked or []) + 1 for name, one in truth.items()}  # with its answer
        assert {name: one.held_texts for name, one in truth.items()} == {
            "plan": 0, "read": 0, "check": whole["plan"], "write": whole["check"]}


def test_what_a_cache_could_hold_of_sessions_at_the_server_is_what_was_read_before(tmp_path: Path) -> None:
    with emulator(tmp_path, *SERVER) as server:
        path = run_file(tmp_path, {"a": server.url}, LOAD, HOLDS_SESSIONS, prompts=[AGENT])
        with sweep(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
        found = of_sessions(run.records(), server.requests())
    result, = analyse(tmp_path / "out").results
    stage, = run.stages()
    window = range(stage["window_start_ns"], stage["window_end_ns"])
    known = [(steps[before][1].input_tokens, steps[name][1].input_tokens) for steps in found.values()
             for before, name in (("plan", "check"), ("check", "write"))
             if name in steps and (steps[name][0].last_token_ns or 0) in window]
    assert known and result.summary.cache is not None
    assert result.summary.cache.whole.possible == pytest.approx(
        sum(before // 16 * 16 for before, _ in known) / sum(whole for _, whole in known), rel=0.02)


def test_arrivals_are_sessions_at_the_instants_of_their_process(tmp_path: Path) -> None:
    load = {"rate": [3], "arrivals": "constant", "warmup": "1s", "ramp": 0, "window": "6s"}
    with emulator(tmp_path, *SERVER) as server:
        path = run_file(tmp_path, {"a": server.url}, load, prompts=[AGENT])
        with sweep(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
        found = of_sessions(run.records(), server.requests())
    stage, = run.stages()
    due = sorted((steps["plan"][0].scheduled_ns - stage["ramp_start_ns"]) / 1e9 for steps in found.values())
    assert [round(after - before, 6) for before, after in itertools.pairwise(due)] == [
        pytest.approx(1 / 3, abs=1e-5)] * (len(due) - 1)
    checks = {check.name: check for check in analyse(tmp_path / "out").results[0].checks}
    assert checks["achieved = offered"].figures["offered"] == pytest.approx(3, abs=0.2)
    assert checks["all due requests sent"].result == "PASS"


def test_a_conversation_keeps_its_user_where_users_are_sessions(tmp_path: Path) -> None:
    talk = {"name": "talk", "source": "conversation", "turns": 3, "input_tokens": 12, "answer_tokens": 4,
            "answers": "served", "think": "400ms", "think_kind": "fixed", "count": 100}
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "3ms", "--truth-texts") as server:
        path = run_file(tmp_path, {"a": server.url}, {**LOAD, "concurrency": [3], "sessions": True}, prompts=[talk])
        with sweep(tmp_path, path) as run:
            assert run.wait() == 0, run.output()
    rows = pq.read_table(run.results.sessions_parquet).to_pylist()
    instants = sorted([(row["begin_ns"], 1) for row in rows] + [(row["end_ns"], -1) for row in rows])
    under_way = [sum(step for _, step in instants[:place]) for place in range(1, len(instants) + 1)]
    assert max(under_way) <= 3
    finished = [row for row in rows if row["outcome"] == "finished"]
    assert finished and all(row["requests"] == 3 and row["path_thinking_ns"] >= 0.8e9 for row in finished)
    assert len(store.read(run.results.prompts / "talk.jsonl")) < 100  # a line a conversation
