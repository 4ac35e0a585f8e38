"""Traces replayed by real workers on the emulator: every arrival once, at its instant, and a cache that hits.

One run of two traces, interrupted in the first and gone on with.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fmload.base.resources import resource
from fmload.model.prompt import Prompt
from fmload.model.record import Record
from fmload.prompts import store
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from tests.load_rig import Run, Server, emulator, run_file, sweep, wait_until

SPEED = 10.0
LOAD = {"trace": {"speed": SPEED, "duration": "40s"}, "warmup": 0, "drain": "10s"}
SETS = [{"name": name, "source": source, "files": [str(resource("configs", f"traces/{file}"))]}
        for name, source, file in (("azure", "azure_trace", "azure.csv"), ("kimi", "mooncake", "mooncake.jsonl"))]


@dataclass
class Replay:
    """A run that was interrupted, and what it had when it was gone on with and at its end."""

    run: Run
    stages: list[dict[str, Any]]  # the broken one, that of the other trace, and the first one's repetition

    def asked(self, stage: int) -> dict[str, Prompt]:
        prompts = store.read(self.run.results.prompts / f"{self.stages[stage]['prompt_set']}.jsonl")
        return {prompt.id: prompt for prompt in prompts}

    def sent(self, stage: int) -> list[Record]:
        number = self.stages[stage]["stage"]
        return [record for record in self.run.records() if record.stage == number]


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    folder = tmp_path_factory.mktemp("replay")
    with emulator(folder, "--ttft", "5ms", "--gap", "1ms", "--prefix-cache") as server:
        path = run_file(folder, {"a": server.url}, LOAD, prompts=SETS)
        with sweep(folder, path, processes=3) as broken:
            _interrupt(broken, server)
        with sweep(folder, path, "--fmload-resume", processes=3) as run:
            assert run.wait() == 0, run.output()
    yield Replay(run, run.stages())


def _interrupt(run: Run, server: Server) -> None:
    wait_until(lambda: run.in_window() and len(server.requests()) >= 10, 60, "the replay")
    run.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "Controller.run" in run.output(), 10, "its greenlets in the log")  # and it goes on
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 130, run.output()


def test_a_replay_that_was_interrupted_is_repeated_whole_and_keeps_what_it_had(replay: Replay) -> None:
    assert [(stage["prompt_set"], stage["status"]) for stage in replay.stages] == [
        ("azure", "superseded"), ("kimi", "done"), ("azure", "done")]
    before = {record.prompt_id for record in replay.sent(0)}
    assert 10 <= len(before) < len(replay.asked(0))
    assert sorted(record.prompt_id for record in replay.sent(2)) == sorted(replay.asked(2))
    for result in analyse_run(open_run(replay.run.results.root)).results:
        assert result.summary.never_sent == 0, "what was due after the interruption was not asked for"


@pytest.mark.parametrize("stage", [1, 2])
def test_the_workers_together_replay_a_trace_at_its_instants(replay: Replay, stage: int) -> None:
    asked, sent, plan = replay.asked(stage), replay.sent(stage), replay.stages[stage]
    assert sorted(record.prompt_id for record in sent) == sorted(asked)
    assert len({record.worker for record in sent}) == 3
    assert (plan["load"], plan["window_s"]) == (
        {"kind": "trace", "value": SPEED, "arrivals": None, "sessions": False}, 4.0)
    offsets_ns = {entry["worker"]: entry["clock_offset_ns"] for entry in replay.run.workers()}
    for record in sent:
        due_s = (record.scheduled_ns - offsets_ns[record.worker] - plan["ramp_start_ns"]) / 1e9
        wanted_s = (asked[record.prompt_id].offset_s or 0.0) / SPEED
        assert due_s == pytest.approx(wanted_s, abs=0.005)  # what is known of the clocks' offset
        assert record.send_ns is not None
        assert record.send_ns >= record.scheduled_ns
        assert (record.prompt_tokens, record.max_output_tokens) == (
            asked[record.prompt_id].input_tokens, asked[record.prompt_id].output_tokens)


def test_a_prefix_cache_finds_in_a_replay_what_the_traced_one_found(replay: Replay) -> None:
    asked = replay.asked(1)
    traced = _cached_by_the_trace(len(asked))
    found = [record.cached_tokens or 0 for record in sorted(replay.sent(1), key=lambda record: record.prompt_id)]
    assert len(found) == len(asked)
    # The emulator caches blocks of 16 tokens, of 64 letters; the trace tells of blocks of 512.
    assert sum(found) == pytest.approx(sum(traced), rel=0.1)
    assert all((cached > 0) == (expected > 0) for cached, expected in zip(found, traced, strict=True))


def _cached_by_the_trace(requests: int) -> list[int]:
    """Tokens of each prompt that an endless cache of its blocks holds when it comes."""
    seen: set[int] = set()
    cached = []
    for line in resource("configs", "traces/mooncake.jsonl").read_text().splitlines()[:requests]:
        row = json.loads(line)
        hits = [block in seen for block in row["hash_ids"]]
        whole = hits.index(False) if False in hits else len(hits)
        cached.append(min(whole * 512, row["input_length"]))
        seen.update(row["hash_ids"])
    return cached
