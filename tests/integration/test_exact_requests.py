"""Exactly so many requests over real processes, and stages that end because of their failures."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fmload.model.prompt import Prompt
from tests.load_rig import Run, emulator, run_file, sweep

FAST = ("--ttft", "10ms", "--gap", "2ms")


def exactly(folder: Path, url: str, load: dict[str, Any], processes: int, prompts: list[Prompt]) -> Run:
    path = run_file(folder, {"a": url}, {"drain": "10s", "ramp": "0s", **load})
    with sweep(folder, path, processes=processes, prompts=prompts) as run:
        assert run.wait() == 0, run.output()
    return run


def short(count: int) -> list[Prompt]:
    return [Prompt(f"short-{number:06d}", "short", text=f"Count to {number}.", input_tokens=20, tokenizer="bundled",
                   output_tokens=5) for number in range(count)]


@pytest.mark.parametrize(("workers", "load"), [
    (1, {"concurrency": [7]}), (2, {"concurrency": [7]}), (3, {"concurrency": [7]}), (3, {"concurrency": [2]}),
    (1, {"rate": [60]}), (2, {"rate": [60]}), (3, {"rate": [60]})])
def test_each_prompt_of_the_set_is_sent_once_and_every_request_is_counted(
        tmp_path: Path, workers: int, load: dict[str, Any]) -> None:
    with emulator(tmp_path, *FAST) as server:
        run = exactly(tmp_path, server.url, {**load, "requests": {"exactly": "all"}}, workers, short(41))
        served = server.requests()
    records = run.records()
    assert len(served) == len(records) == 41
    assert Counter(record.prompt_id for record in records) == Counter(prompt.id for prompt in short(41))
    stage, = run.stages()
    assert (stage["requests"], stage["window_closed"], stage["status"]) == (41, "requests", "done")
    assert all(stage["window_start_ns"] <= (record.send_ns or 0) for record in records)
    assert max(record.end_ns or 0 for record in records) <= stage["window_end_ns"]


def test_levels_go_on_with_the_prompts_that_are_left(tmp_path: Path) -> None:
    with emulator(tmp_path, *FAST) as server:
        run = exactly(tmp_path, server.url, {"concurrency": [1, 4], "requests": {"exactly": 20}}, 2, short(40))
    by_stage = Counter(record.stage for record in run.records())
    assert by_stage == {0: 20, 1: 20}
    assert len({record.prompt_id for record in run.records()}) == 40


def test_turns_of_a_conversation_follow_each_other(tmp_path: Path) -> None:
    turns = [Prompt(f"short-{number:06d}", "short", text=f"turn {number}", input_tokens=20, tokenizer="bundled",
                    output_tokens=5, conversation=f"c{number // 3}", turn=number % 3) for number in range(18)]
    with emulator(tmp_path, *FAST) as server:
        run = exactly(tmp_path, server.url, {"concurrency": [4], "requests": {"exactly": 18}}, 2, turns)
    sent = {record.prompt_id: record for record in run.records()}
    assert len(sent) == 18
    for one, following in pairwise(turns):
        if one.conversation == following.conversation:
            assert (sent[one.id].end_ns or 0) <= (sent[following.id].send_ns or 0)


def test_a_stage_that_fails_too_often_ends_early_and_higher_loads_are_skipped(tmp_path: Path) -> None:
    with emulator(tmp_path, *FAST, "--fault", "500:share=0.5") as server:
        path = run_file(tmp_path, {"a": server.url}, {
            "concurrency": [2, 4, 8], "ramp": "0s", "warmup": "200ms", "window": "60s", "drain": "5s",
            "stop_if": {"error_rate": "20%", "after": 30}})
        with sweep(tmp_path, path) as run:
            run.wait()
    first, *others = run.stages()
    assert first["window_closed"] == "stop_if"
    assert [stage["status"] for stage in others] == ["skipped", "skipped"]
    told = next(mark["detail"] for mark in first["marks"] if mark["kind"] == "stop_if")
    assert "requests failed, more than 20.0%" in told
