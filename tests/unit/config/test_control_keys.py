"""Keys of a stage's control: warm-ups and windows that end by what came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fmload.base.errors import FmloadError
from fmload.config import RunFile, dump, parse
from fmload.model.stage import Until, WarmUp
from fmload.plan.stages import plan

TEXT = """\
name: r
endpoints: [{name: a, protocol: openai, url: http://h/v1}]
prompts: [{name: p, source: synthetic, input_tokens: 10}]
load:
  concurrency: [1]
"""


def read(more: str) -> RunFile:
    return parse(TEXT + "".join(f"  {line}\n" for line in more.splitlines()), "x.yml", Path("/base"))


def test_a_stage_carries_what_ends_its_warm_up_and_closes_its_window() -> None:
    stage, = plan(read("warmup: {steady: true, at_most: 90s}\nuntil: {metric: ttft_p95, within: 10%, at_most: 5m}"))
    assert (stage.warmup, stage.warmup_s, stage.window_s) == (WarmUp(steady="e2e"), 90.0, 300.0)
    assert stage.until == Until("ttft_p95", within=0.1, confidence=0.95, at_least_s=10.0)


def test_a_warm_up_of_a_time_is_written_short_and_read_long() -> None:
    short, long = read("warmup: 20s"), read("warmup: {time: 20s}")
    assert short == long
    assert "warmup: 20s" in dump(long)
    again = read("warmup: {requests: 9, at_most: 30s}")
    assert parse(dump(again), "x.yml", Path("/base")).load.warmup == again.load.warmup


@pytest.mark.parametrize(("more", "problem"), [
    ("warmup: 20", "load.warmup: 20 has no unit"),
    ("warmup: {requests: 5, steady: true}", "load.warmup.steady: give exactly one of time, requests and steady"),
    ("warmup: {at_most: 5s}", "load.warmup: give exactly one of time, requests and steady; here: none of them"),
    ("warmup: {time: 5s, at_most: 5s}", "load.warmup.at_most: goes with requests and steady"),
    ("warmup: {steady: e3e}", "load.warmup.steady: 'e3e' is none of ttft"),
    ("until: {within: 5%}", "load.until.metric: is missing"),
    ("until: {metric: tfft_p95}", "load.until.metric: unknown metric 'tfft_p95'; did you mean 'ttft_p95'?"),
    ("until: {metric: ttft}", "load.until.metric: 'ttft' has no interval to follow; give a percentile or mean"),
    ("until: {metric: error_rate}", "load.until.metric: 'error_rate' has no interval to follow"),
    ("until: {metric: ttft_p95, within: 5 parsecs}", "load.until.within:"),
    ("until: {metric: ttft_p95, at_least: 9m, at_most: 2m}", "load.until.at_most: 120s is shorter than at_least, 540s"),
    ("until: {metric: ttft_p95}\nwindow: 9s", "load.until: give one of window, requests and until"),
])
def test_what_is_wrong_with_it_is_named_with_its_key(more: str, problem: str) -> None:
    with pytest.raises(FmloadError) as caught:
        read(more)
    assert problem in str(caught.value)


@pytest.mark.parametrize("load", [{"rate": [2], "arrivals": "diurnal"}, {"rate": [2], "arrivals": {"process": "ramp"}},
                                  {"trace": {}}])
def test_a_load_that_changes_by_plan_has_no_steady_state_to_wait_for(load: dict[str, Any]) -> None:
    more = {"until": {"metric": "ttft_p95"}, "warmup": {"requests": 9}}
    with pytest.raises(ValidationError) as caught:
        RunFile.model_validate({"name": "r", "endpoints": [{"name": "a", "protocol": "openai", "url": "http://h/v1"}],
                                "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10}],
                                "load": {**load, **more}})
    wrong = {error["loc"]: error["msg"] for error in caught.value.errors()}
    assert "needs a load that stays the same" in wrong["load", "until"]
    assert "must be a time" in wrong["load", "warmup"]
