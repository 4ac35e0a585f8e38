"""Exactly so many requests: every prompt once, whatever the number of workers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.model.prompt import Prompt
from fmload.model.stage import Load, Stage
from fmload.plan.exact import Part, begins_at, of_arrivals, of_users


def prompts(count: int, turns: int = 1) -> list[Prompt]:
    return [Prompt(f"p{number}", "p", text=str(number), conversation=str(number // turns) if turns > 1 else None,
                   turn=number % turns) for number in range(count)]


def stage(number: int, step: int, requests: int, status: str = "done") -> Stage:
    found = Stage(number, step, 0, "a", "p", Load("concurrency", 1), {}, 0, 0, None, requests, 1, exact=True)
    found.status = status  # type: ignore[assignment]
    return found


@given(st.integers(1, 200), st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any), st.integers(0, 300))
def test_users_of_all_workers_together_send_each_prompt_once(requests: int, slots: list[int], begin: int) -> None:
    whole = prompts(requests)
    sent = [prompt.id for part in of_users(requests, begin, slots, whole) for prompt in part.of(whole)]
    assert sorted(sent) == sorted(prompt.id for prompt in whole)
    parts = of_users(requests, begin, slots, whole)
    assert all(part.count == 0 for part, users in zip(parts, slots, strict=True) if users == 0)


@given(st.integers(1, 200), st.integers(1, 5), st.integers(0, 300))
def test_arrivals_of_all_workers_together_send_each_prompt_once(requests: int, workers: int, begin: int) -> None:
    whole = prompts(requests)
    sent = [prompt.id for part in of_arrivals(requests, begin, workers) for prompt in part.of(whole)]
    assert sorted(sent) == sorted(prompt.id for prompt in whole)


@given(st.integers(1, 40), st.integers(2, 4), st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_turns_of_a_conversation_stay_with_one_worker(conversations: int, turns: int, slots: list[int]) -> None:
    whole = prompts(conversations * turns, turns)
    parts = of_users(len(whole), 0, slots, whole)
    assert sum(part.count for part in parts) == len(whole)
    holders = [{prompt.conversation for prompt in part.of(whole)} for part in parts]
    assert sum(map(len, holders)) == conversations


def test_a_stage_goes_on_with_the_prompts_that_those_before_it_have_left() -> None:
    stages = [stage(0, 0, 10), stage(1, 1, 10), stage(2, 2, 5)]
    assert [begins_at(one, stages) for one in stages] == [0, 10, 20]
    assert [prompt.id for prompt in Part(10, 3).of(prompts(12))] == ["p10", "p11", "p0"]


@pytest.mark.parametrize("status", ["interrupted", "done"])
def test_a_stage_that_is_run_again_sends_what_its_first_attempt_was_to_send(status: str) -> None:
    first, broken, after = stage(0, 0, 10), stage(1, 1, 10, "interrupted"), stage(2, 2, 10)
    again = stage(3, 1, 10, status)
    stages = [first, broken, after, again]
    assert begins_at(again, stages) == 10
    assert begins_at(after, stages) == 20
