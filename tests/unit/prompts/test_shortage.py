"""Sets that are too small for the plan are told of before the load, with how many requests there will be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fmload.config.schema import RunFile
from fmload.model.prompt import Prompt
from fmload.plan.stages import plan
from fmload.prompts.shortage import shortages

A = {"name": "a", "protocol": "openai", "url": "http://a/v1"}
HALVED = {"process": "step", "levels": [1, 0.5], "every": "5s", "base": "constant"}  # 5 s after the window opened
TIMES = {"ramp": "1s", "warmup": "2s", "window": "7s"}


def told(load: dict[str, Any], count: int, endpoints: tuple[dict[str, Any], ...] = (A,),
         source: dict[str, Any] | None = None, timed: bool = False) -> list[str]:
    run = RunFile.model_validate({"name": "t", "endpoints": list(endpoints), "load": load,
                                  "prompts": [{"name": "p", **(source or {"source": "fixed"})}]})
    prompts = [Prompt(str(number), "p", text="x", tokenizer="bundled", offset_s=float(number) if timed else None)
               for number in range(count)]
    return list(shortages(run, plan(run), {"p": prompts}))


@pytest.mark.parametrize(("load", "needed"), [
    ({"rate": [2, 3], **TIMES}, 50),
    ({"rate": [2], "repeat": 3, **TIMES}, 60),
    ({"rate": [2], "arrivals": HALVED, **TIMES}, 18),
    ({"concurrency": [4, 8], **TIMES}, 12),  # a request a user: more is not known
    ({"concurrency": [4], "requests": 30, "warmup": {"requests": 5, "at_most": "9s"}}, 35),
    ({"rate": [2], "requests": 30, "ramp": "1s", "warmup": "2s"}, 36),
])
def test_a_set_is_told_of_when_it_has_one_prompt_less_than_the_plan_needs(load: dict[str, Any],
                                                                          needed: int) -> None:
    [found] = told(load, needed - 1)
    assert f"'p' has {needed - 1} prompts, and 'a' will be sent {needed} or more" in found
    assert not told(load, needed)


def test_endpoints_of_one_server_use_up_one_set_together() -> None:
    again, other = {**A, "name": "b", "stream": False}, {**A, "name": "c", "url": "http://c/v1"}
    load = {"rate": [2], **TIMES}
    assert told(load, 39, (A, again, other)) == told(load, 39, (A, again)) != []
    assert not told(load, 40, (A, again, other))


def test_loads_that_end_by_what_comes_are_not_foreseen() -> None:
    assert not told({"rate": [50], "until": {"metric": "e2e_p50"}}, 10)
    assert not told({"find": {"over": "rate", "from": 1, "to": 50, "objective": {"e2e_p95": "1s"}}}, 10)


def test_a_trace_that_is_replayed_again_repeats_every_prompt(tmp_path: Path) -> None:
    source = {"source": "azure_trace", "files": [str(tmp_path / "t.csv")]}
    assert not told({"trace": {}}, 10, source=source, timed=True)
    [found] = told({"trace": {"speed": [1, 2]}}, 10, source=source, timed=True)
    assert "has 10 prompts, and 'a' will be sent 20 or more" in found
