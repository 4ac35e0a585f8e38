"""Prepared prompts in a real run: conversations in order, every endpoint its own tokenizer's prompts."""

from __future__ import annotations

from pathlib import Path

from fmload.base.resources import resource
from fmload.prompts import read
from tests.load_rig import emulator, run_file, started

TALK = {"name": "talk", "source": "conversation", "turns": 3, "input_tokens": 8, "answer_tokens": 5, "think": "200ms",
        "think_kind": "fixed", "count": 1500}  # more than are sent


def test_turns_are_sent_in_order_after_the_answer_and_the_think_time(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "5ms") as server:
        load = {"concurrency": [3], "ramp": "200ms", "warmup": "300ms", "window": "3s", "drain": "10s"}
        path = run_file(tmp_path, {"a": server.url}, load, prompts=[TALK])
        locust = ["-m", "locust", "-f", str(resource("locustfiles", "openai.py")), "--headless", "--processes", "2",
                  "--fmload-config", str(path), "--fmload-out", str(tmp_path / "out")]
        with started(locust, tmp_path) as run:
            assert run.wait() == 0, run.output()
    prompts = {prompt.id: prompt for prompt in read(tmp_path / "out" / "prompts" / "talk.jsonl")}
    ends: dict[tuple[str, str | None, int], int] = {}
    later = 0
    for record in sorted(run.records(), key=lambda one: one.send_ns or 0):
        prompt = prompts[record.prompt_id]
        assert record.send_ns is not None
        if prompt.turn:
            later += 1
            before = ends[record.worker, prompt.conversation, prompt.turn - 1]
            assert record.send_ns - before >= 200_000_000
        if record.end_ns is not None:
            ends[record.worker, prompt.conversation, prompt.turn] = record.end_ns
    assert later > 10
