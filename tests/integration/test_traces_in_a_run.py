"""Traces replayed by real workers on the emulator: every arrival once, at its instant, and a cache that hits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmload.prompts import store
from fmload.resources import resource
from fmload.results import Results
from tests.load_rig import emulator, locust, run_file

LOAD = {"trace": {"speed": 10, "duration": "40s"}, "warmup": 0, "drain": "10s"}


def prompt_set(source: str, file: str) -> dict[str, object]:
    return {"name": "traced", "source": source, "files": [str(resource("configs", f"traces/{file}"))]}


def test_the_workers_together_replay_the_trace_at_its_instants(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "30ms", "--gap", "2ms") as server:
        path = run_file(tmp_path, {"a": server.url}, LOAD, prompts=[prompt_set("azure_trace", "azure.csv")])
        with locust(tmp_path, "--headless", "--processes", "3", "--fmload-config", str(path)) as run:
            assert run.wait() == 0, run.output()
    [stage] = run.stages()
    asked = {prompt.id: prompt for prompt in store.read(Results(tmp_path / "out").prompts / "traced.jsonl")}
    sent = run.records()
    assert sorted(record.prompt_id for record in sent) == sorted(asked)
    assert len({record.worker for record in sent}) == 3
    assert (stage["load"], stage["window_s"]) == ({"kind": "trace", "value": 10.0, "arrivals": None}, 4.0)
    offsets_ns = {entry["worker"]: entry["clock_offset_ns"] for entry in run.workers()}
    for record in sent:
        due_s = (record.scheduled_ns - offsets_ns[record.worker] - stage["ramp_start_ns"]) / 1e9
        assert due_s == pytest.approx((asked[record.prompt_id].offset_s or 0.0) / 10, abs=0.005)  # the clocks' offset
        assert record.send_ns is not None
        assert record.send_ns >= record.scheduled_ns
        assert (record.prompt_tokens, record.max_output_tokens) == (
            asked[record.prompt_id].input_tokens, asked[record.prompt_id].output_tokens)


def test_a_prefix_cache_finds_in_a_replay_what_the_traced_one_found(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "5ms", "--gap", "1ms", "--prefix-cache") as server:
        path = run_file(tmp_path, {"a": server.url}, LOAD, prompts=[prompt_set("mooncake", "mooncake.jsonl")])
        with locust(tmp_path, "--headless", "--fmload-config", str(path)) as run:
            assert run.wait() == 0, run.output()
    asked = {prompt.id: prompt for prompt in store.read(Results(tmp_path / "out").prompts / "traced.jsonl")}
    traced = _cached_by_the_trace(len(asked))
    found = [record.cached_tokens or 0 for record in sorted(run.records(), key=lambda record: record.prompt_id)]
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
