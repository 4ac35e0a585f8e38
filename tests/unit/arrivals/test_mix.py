"""Weighted mixes: users by weight, requests drawn by weight, and all workers together send what was asked for."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fmload import arrivals
from fmload.base.apportion import shares, spread
from fmload.config import RunFile
from fmload.plan.arrivals import asked_of, seed_of
from fmload.plan.stages import plan, remaining, steps_of

WEIGHTS = st.lists(st.floats(0.01, 100), min_size=1, max_size=6)


def run_file(**load: Any) -> RunFile:
    return RunFile.model_validate({
        "name": "r", "seed": 3,
        "endpoints": [{"name": name, "protocol": "openai", "url": "http://h/v1", "parameters": {"temperature": 1}}
                      for name in "ab"],
        "prompts": [{"name": name, "source": "synthetic", "input_tokens": 10} for name in "pq"], "load": load})


MIX = [{"endpoint": "a", "prompts": "p", "weight": 3}, {"endpoint": "a", "prompts": "q", "weight": 1,
                                                        "parameters": {"temperature": 0}}]


@given(users=st.integers(0, 500), weights=WEIGHTS)
def test_users_are_spread_by_weight_to_the_last_one(users: int, weights: list[float]) -> None:
    parts = shares(weights)
    found = spread(users, parts)
    assert sum(found) == users
    assert all(abs(count - users * part) < 1 + 1e-6 for count, part in zip(found, parts, strict=True))


def test_components_are_stages_of_one_step_with_their_own_parameters() -> None:
    stages = plan(run_file(concurrency=[4, 10], mix=MIX))
    assert [(one.step, one.prompt_set, one.load.value, one.parameters) for one in stages] == [
        (0, "p", 3, {"temperature": 1}), (0, "q", 1, {"temperature": 0}),
        (1, "p", 8, {"temperature": 1}), (1, "q", 2, {"temperature": 0})]
    assert [len(step) for step in steps_of(stages)] == [2, 2]


def test_the_requests_that_close_a_window_are_those_of_the_whole_mix() -> None:
    stages = plan(run_file(concurrency=[8], mix=MIX, requests=101))
    assert [one.requests for one in stages] == [76, 25]


def test_an_interrupted_mix_is_run_again_with_all_its_components() -> None:
    stages = plan(run_file(concurrency=[4], mix=MIX))
    for stage in stages:
        stage.status = "running"
    again = remaining(stages)
    assert [(one.prompt_set, one.load.value, one.step) for one in again] == [("p", 3, 0), ("q", 1, 0)]
    assert [one.mix.first for one in stages if one.mix] == [0, 0, 2, 2]


def sent(process: dict[str, Any], workers: int, rate: float = 50.0, until_s: float = 400.0) -> list[list[float]]:
    """The instants of each component, by all workers together."""
    stages = plan(run_file(rate=[rate], arrivals=process, mix=[*MIX, {"endpoint": "b", "prompts": "p", "weight": 2}]))
    found: list[list[float]] = []
    for stage in stages:
        asked = {**asked_of(stage, 3), "lead_s": 0.0, "seed": seed_of(3, 0)}
        mine: list[float] = []
        for worker in range(workers):
            share = arrivals.share(arrivals.of_stage(asked), worker, workers)
            soon = itertools.takewhile(lambda due: due is None or due < until_s, share)
            mine += [due for due in soon if due is not None]
        found.append(sorted(mine))
    return found


@pytest.mark.parametrize("process", [{"process": "constant"}, {"process": "poisson"},
                                     {"process": "gamma", "burstiness": 0.5}])
def test_all_workers_and_components_together_are_the_process_that_was_asked_for(process: dict[str, Any]) -> None:
    parts = sent(process, workers=3)
    whole = list(itertools.takewhile(lambda due: due < 400.0, arrivals.schedule(process, 50.0, seed_of(3, 0))))
    assert sorted(itertools.chain(*parts)) == whole
    assert parts == sent(process, workers=1)


def test_requests_are_drawn_by_weight_and_each_part_of_poisson_arrivals_is_poisson() -> None:
    parts = sent({"process": "poisson"}, workers=2)
    n = sum(map(len, parts))
    for part, share in zip(parts, (3 / 6, 1 / 6, 2 / 6), strict=True):
        assert abs(len(part) / n - share) < 4 * math.sqrt(share * (1 - share) / n)
        gaps = np.diff(part) * 50 * share
        counts = np.histogram(part, bins=np.arange(0, 401))[0]
        assert 0.75 < counts.var(ddof=1) / counts.mean() < 1.3  # dispersion of a Poisson process: 1
        distance = np.max(np.abs(np.sort(1 - np.exp(-gaps)) - (np.arange(len(gaps)) + 0.5) / len(gaps)))
        assert distance < 1.63 / math.sqrt(len(gaps))  # Kolmogorov–Smirnov, 1 %


@pytest.mark.parametrize(("load", "place", "message"), [
    ({"mix": [{"endpoint": "c", "prompts": "p"}]}, ("load", "mix", 0, "endpoint"), "no endpoint of this run"),
    ({"mix": [{"endpoint": "a", "prompts": "pp"}]}, ("load", "mix", 0, "prompts"), "no prompt set of this run"),
    ({"mix": [{"endpoint": "a", "prompts": "p", "weight": 0}]}, ("load", "mix", 0, "weight"), "greater than 0"),
    ({"concurrency": [8, 1], "mix": MIX}, ("load", "concurrency", 1), "1 users leave none for some component"),
    ({"trace": {}, "mix": MIX}, ("load", "trace"), "does not go with a mix"),
    ({"cancel": {"share": "120%", "after": "1s"}}, ("load", "cancel", "share"), "less than 1"),
])
def test_a_mix_that_cannot_be_is_told_with_its_place(load: dict[str, Any], place: tuple[Any, ...],
                                                     message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        run_file(**{**load, **({} if {"concurrency", "trace"} & load.keys() else {"rate": [1]})})
    assert message in {error["loc"]: error["msg"] for error in caught.value.errors()}.get(place, str(caught.value))
