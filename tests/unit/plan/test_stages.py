from __future__ import annotations

import json
from typing import Any

from fmload.config import RunFile
from fmload.model.stage import Stage, StageMark
from fmload.plan.stages import plan, planned_after_s, remaining, steps_of
from fmload.results import stage_file


def run_file(load: dict[str, Any], endpoints: int = 2, prompts: int = 1, seed: int = 0) -> RunFile:
    return RunFile.model_validate({
        "name": "r", "seed": seed, "load": load,
        "endpoints": [{"name": f"e{n}", "protocol": "openai", "url": "http://h/v1", "parameters": {"temperature": n}}
                      for n in range(endpoints)],
        "prompts": [{"name": f"p{n}", "source": "synthetic", "input_tokens": 10} for n in range(prompts)]})


def lanes(stages: list[Stage]) -> list[tuple[int, str, str, float]]:
    return [(stage.step, stage.endpoint, stage.prompt_set, stage.load.value) for stage in stages]


def test_one_after_the_other_every_endpoint_goes_through_all_prompts_and_levels() -> None:
    assert lanes(plan(run_file({"concurrency": [1, 2]}, prompts=2))) == [
        (0, "e0", "p0", 1), (1, "e0", "p0", 2), (2, "e0", "p1", 1), (3, "e0", "p1", 2),
        (4, "e1", "p0", 1), (5, "e1", "p0", 2), (6, "e1", "p1", 1), (7, "e1", "p1", 2)]


def test_side_by_side_endpoints_share_a_step_at_the_same_level() -> None:
    stages = plan(run_file({"concurrency": [1, 2], "side_by_side": True}))
    assert lanes(stages) == [(0, "e0", "p0", 1), (0, "e1", "p0", 1), (1, "e0", "p0", 2), (1, "e1", "p0", 2)]
    assert [[stage.endpoint for stage in step] for step in steps_of(stages)] == [["e0", "e1"], ["e0", "e1"]]


def test_a_stage_has_the_parameters_of_its_endpoint() -> None:
    stages = plan(run_file({"concurrency": [1]}))
    assert [stage.parameters for stage in stages] == [{"temperature": 0}, {"temperature": 1}]


def test_repeats_run_the_whole_sweep_again() -> None:
    stages = plan(run_file({"concurrency": [1, 2], "repeat": 2}, endpoints=1))
    found = [(stage.repeat, stage.step, stage.load.value) for stage in stages]
    assert found == [(0, 0, 1), (0, 1, 2), (1, 2, 1), (1, 3, 2)]


def test_shuffling_is_drawn_by_the_seed() -> None:
    load = {"concurrency": [1, 2, 4, 8, 16, 32], "shuffle": True}
    orders = [[stage.load.value for stage in plan(run_file(load, endpoints=1, seed=seed))] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[2]) == [1, 2, 4, 8, 16, 32]


def test_a_window_is_a_minute_when_neither_time_nor_requests_are_given() -> None:
    assert plan(run_file({"concurrency": [1]}))[0].window_s == 60.0
    assert plan(run_file({"concurrency": [1], "requests": 9}))[0].window_s is None


def test_rates_carry_their_arrival_process_and_need_no_slots() -> None:
    stage = plan(run_file({"rate": [5], "arrivals": {"process": "gamma", "burstiness": 0.5}}))[0]
    assert (stage.load.kind, stage.load.value, stage.slots) == ("rate", 5, 0)
    assert stage.load.arrivals == {"process": "gamma", "burstiness": 0.5}


def test_a_stage_survives_json() -> None:
    stage = plan(run_file({"rate": [5], "arrivals": "poisson"}))[0]
    stage.marks.append(StageMark("worker_lost", 12, "w1", "gone"))
    assert stage_file.from_json(json.loads(json.dumps(stage_file.to_json(stage)))) == stage


def test_resuming_keeps_what_is_done_and_repeats_what_was_broken_under_a_new_number() -> None:
    stages = plan(run_file({"concurrency": [1, 2, 4]}, endpoints=1))
    stages[0].status, stages[1].status = "done", "running"
    left = remaining(stages)
    assert [(stage.stage, stage.load.value) for stage in left] == [(2, 4), (3, 2)]
    assert [stage.status for stage in stages] == ["done", "superseded", "pending", "pending"]
    assert [step[0].load.value for step in steps_of(left)] == [2, 4]


def test_resuming_twice_does_not_repeat_a_stage_twice() -> None:
    stages = plan(run_file({"concurrency": [1]}, endpoints=1))
    stages[0].status = "interrupted"
    remaining(stages)
    assert len(remaining(stages)) == 1
    stages[1].status = "done"
    assert remaining(stages) == []


def test_the_components_of_a_resumed_mix_are_told_apart_from_those_of_the_broken_attempt() -> None:
    mix = [{"endpoint": "e0", "prompts": "p0", "weight": 1}, {"endpoint": "e1", "prompts": "p0", "weight": 3}]
    stages = plan(run_file({"rate": [4, 8], "mix": mix}))
    for stage in stages[:2]:
        stage.status = "interrupted"
    remaining(stages)
    firsts = [stage.mix.first for stage in stages if stage.mix is not None]
    assert firsts == [0, 0, 2, 2, 4, 4]
    for stage in stages[4:]:
        stage.status = "interrupted"
    remaining(stages)
    assert [stage.mix.first for stage in stages[6:] if stage.mix is not None] == [6, 6]


def test_the_time_that_is_planned_after_a_phase_counts_steps_once_and_what_is_done_never() -> None:
    load = {"concurrency": [1, 2], "side_by_side": True, "ramp": "1s", "warmup": "2s", "window": "10s"}
    stages = plan(run_file(load))
    now = [stage for stage in stages if stage.step == 0]
    assert [planned_after_s(phase, now, stages) for phase in ("ramp", "warm-up", "window")] == [25.0, 23.0, 13.0]
    for stage in stages:
        stage.status = "done"
    assert planned_after_s("window", now, stages) == 0


def test_no_time_is_planned_where_requests_decide_it() -> None:
    stages = plan(run_file({"concurrency": [1, 2], "requests": 100}))
    assert planned_after_s("window", stages[:1], stages) is None
