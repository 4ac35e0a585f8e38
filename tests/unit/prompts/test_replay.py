"""Replay of traces: instants, the workers' shares, and windows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.base.errors import FmloadError
from fmload.config import parse
from fmload.config.problems import RunFileError
from fmload.model.prompt import Prompt
from fmload.plan.stages import plan
from fmload.prompts import store
from fmload.prompts.replay import bound_windows, due, length_s
from fmload.results.folder import Results

RUN = """
name: t
endpoints: [{name: e, protocol: openai, url: 'http://h/v1'}]
prompts: [{name: p, source: azure_trace, files: [t.csv]}]
load: {trace: {speed: [1, 4]}, warmup: 1s}
"""


def prompts(*offsets_s: float) -> list[Prompt]:
    return [Prompt(f"p-{number:06d}", "p", text="x", offset_s=offset_s) for number, offset_s in enumerate(offsets_s)]


@settings(max_examples=50)
@given(offsets_s=st.lists(st.floats(0, 1e5), min_size=1, max_size=60), workers=st.integers(1, 9),
       speed=st.floats(0.1, 100))
def test_the_workers_shards_are_disjoint_and_together_the_trace(offsets_s: list[float], workers: int,
                                                               speed: float) -> None:
    whole = due(prompts(*offsets_s), speed)
    shards = [due(shard, speed) for shard in store.shards(prompts(*offsets_s), workers)]
    assert sorted((due_s, prompt.id) for shard in shards for due_s, prompt in shard) == [
        (due_s, prompt.id) for due_s, prompt in whole]
    assert [due_s for due_s, _ in whole] == sorted(offset_s / speed for offset_s in offsets_s)


def test_speed_divides_the_instants_and_prompts_without_one_are_left_out() -> None:
    found = due([*prompts(8.0, 2.0), Prompt("other", "p", text="x")], 4.0)
    assert [(due_s, prompt.id) for due_s, prompt in found] == [(0.5, "p-000001"), (2.0, "p-000000")]


def test_the_length_holds_every_arrival() -> None:
    assert length_s(prompts(0.0, 8.0), 1.0) == 9.0
    assert length_s(prompts(0.0, 8.0), 3.0) == 3.0


def planned(tmp_path: Path, text: str = RUN, last_s: float = 20.0) -> list[float | None]:
    results = Results(tmp_path).create()
    store.write(results.prompts / "p.jsonl", prompts(0.0, last_s))
    stages = plan(parse(text, "run.yml", tmp_path))
    bound_windows(stages, results)
    return [stage.window_s for stage in stages]


def test_a_replay_lasts_as_long_as_its_trace_of_which_the_warmup_is_the_beginning(tmp_path: Path) -> None:
    assert planned(tmp_path) == [20.0, 5.0]


def test_a_window_is_cut_where_the_trace_ends(tmp_path: Path) -> None:
    assert planned(tmp_path, RUN.replace("warmup: 1s", "warmup: 1s, window: 10s")) == [10.0, 5.0]


def test_a_trace_that_ends_in_the_warmup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="at speed 4 the trace is over after 6s, within the warm-up of 10s"):
        planned(tmp_path, RUN.replace("warmup: 1s", "warmup: 10s"))


def test_stages_that_are_done_keep_their_windows(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    stages = [replace(stage, status="done", window_s=3.0) for stage in plan(parse(RUN, "run.yml", tmp_path))]
    bound_windows(stages, results)
    assert [stage.window_s for stage in stages] == [3.0, 3.0]


def test_a_replay_has_no_ramp_and_a_speed_may_stand_alone(tmp_path: Path) -> None:
    [stage] = plan(parse(RUN.replace("[1, 4]", "2.5"), "run.yml", tmp_path))
    assert (stage.ramp_s, stage.load.kind, stage.load.value, stage.load.text) == (0.0, "trace", 2.5, "trace ×2.5")


def test_what_has_no_instants_cannot_be_replayed(tmp_path: Path) -> None:
    text = RUN.replace("{name: p, source: azure_trace, files: [t.csv]}",
                       "{name: p, source: synthetic, input_tokens: 5}").replace("[1, 4]", "0")
    with pytest.raises(RunFileError) as raised:
        parse(text, "run.yml", tmp_path)
    assert "run.yml:4: prompts[0].source: 'synthetic' has no instants that load.trace could replay" in str(raised.value)
    assert "run.yml:5: load.trace.speed: must be above 0" in str(raised.value)
