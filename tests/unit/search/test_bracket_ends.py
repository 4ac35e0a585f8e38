"""Brackets with unclear loads, and searches that begin near the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fmload.config.schema import RunFile
from fmload.plan.stages import plan
from fmload.search.bracket import Bracket, Tried, bracket_of, next_load


@dataclass
class Wanted:
    """A range to search."""

    near: float | None = None
    over: str = "concurrency"
    from_: float = 1.0
    to: float = 64.0
    within: float = 0.05


def searched(wanted: Wanted, verdict: Callable[[float], str]) -> tuple[Bracket, list[float]]:
    """The bracket at the end, and the loads on the way. `verdict` is meets, fails or unclear."""
    tried: list[Tried] = []
    while (load := next_load(wanted, bracket_of(tried))) is not None:
        assert load not in [one.load for one in tried], "no load is tried twice"
        tried.append(Tried(load, verdict(load) == "meets", verdict(load) == "unclear"))
        assert len(tried) < 100
    return bracket_of(tried), [one.load for one in tried]


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 13, 40, 63, 64, 100])
@pytest.mark.parametrize("near", [None, 1.0, 3.0, 13.0, 64.0, 500.0])
def test_wherever_the_search_begins_it_ends_at_the_same_load(limit: int, near: float | None) -> None:
    found, _ = searched(Wanted(near, within=0.01), lambda load: "meets" if load <= limit else "fails")
    assert found.low == (min(limit, 64) or None)


@pytest.mark.parametrize("limit", [0.4, 1.0, 2.7, 13.3, 63.0, 100.0])
@pytest.mark.parametrize("near", [1.0, 3.0, 13.0, 64.0])
def test_of_rates_too(limit: float, near: float) -> None:
    found, _ = searched(Wanted(near, over="rate"), lambda load: "meets" if load <= limit else "fails")
    if limit < 1:
        assert found.low is None
    else:
        assert found.low is not None and found.low <= limit
        assert found.low == 64.0 or limit <= found.low * 1.06


def test_a_search_that_begins_at_its_answer_takes_three_stages() -> None:
    _, cold = searched(Wanted(), lambda load: "meets" if load <= 13 else "fails")
    _, near = searched(Wanted(13.0), lambda load: "meets" if load <= 13 else "fails")
    assert near == [13.0, 15.0, 14.0] and len(cold) == 8


def test_low_loads_that_cannot_be_told_are_stepped_over() -> None:
    found, loads = searched(Wanted(), lambda load: "unclear" if load < 4 else "meets" if load <= 9 else "fails")
    assert (found.low, found.high) == (9.0, 10.0) and loads[:3] == [1.0, 2.0, 4.0]


def test_an_unclear_load_above_one_that_meets_counts_as_not_meeting() -> None:
    found, _ = searched(Wanted(), lambda load: "meets" if load <= 4 else "unclear")
    assert (found.low, found.high) == (4.0, 5.0)


def test_nothing_is_claimed_where_low_loads_are_unclear_and_the_next_misses() -> None:
    found, loads = searched(Wanted(), lambda load: "unclear" if load < 4 else "fails")
    assert found.low is None and loads == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("near", [None, 1.0, 13.0, 64.0])
def test_where_nothing_can_be_told_the_search_ends(near: float | None) -> None:
    found, _ = searched(Wanted(near), lambda load: "unclear")
    assert found.low is None and found.high is None


@pytest.mark.parametrize("near", [5.0, 13.0, 40.0])
def test_unclear_loads_below_one_that_misses_are_gone_down_from(near: float) -> None:
    found, _ = searched(Wanted(near), lambda load: "meets" if load <= 3 else "unclear" if load < 14 else "fails")
    assert found.low == 3.0


@pytest.mark.parametrize("near, first", [(None, 2.0), (16.4, 16.0), (1.0, 2.0), (500.0, 64.0)])
def test_the_first_stage_of_the_plan_is_where_the_search_begins(near: float | None, first: float) -> None:
    find = {"objective": {"ttft_p95": "1s"}, "from": 2.0, "to": 64.0, "near": near}
    run = RunFile.model_validate({
        "name": "r", "endpoints": [{"name": "a", "protocol": "openai", "url": "http://h/v1"}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 5, "output_tokens": 5}],
        "load": {"find": find}})
    assert [stage.load.value for stage in plan(run)] == [first]
    assert next_load(Wanted(near, from_=2.0), Bracket()) == first
