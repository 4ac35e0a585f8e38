"""An endpoint that refuses its first request is left out, unless the load cannot do without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload.config.loading import parse
from fmload.config.schema import RunFile
from fmload.master import refused
from fmload.plan.stages import plan

RUN = """
name: t
endpoints:
  - {name: a, protocol: openai, url: "http://127.0.0.1:1/v1", model: m}
  - {name: b, protocol: openai, url: "http://127.0.0.1:2/v1", model: m}
prompts: [{name: p, source: synthetic, input_tokens: 5, output_tokens: 5}]
load: LOAD
"""


def run_of(load: str, folder: Path) -> RunFile:
    return parse(RUN.replace("LOAD", load), "t.yml", folder)


def test_one_of_two_is_done_without(tmp_path: Path) -> None:
    refused.require_others(run_of("{concurrency: [1]}", tmp_path), {"a": "no such model"})


def test_none_left_ends_the_run_with_the_words_of_all(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="no key\\nno model"):
        refused.require_others(run_of("{concurrency: [1]}", tmp_path), {"a": "no key", "b": "no model"})


@pytest.mark.parametrize("load", [
    "{rate: [1], mix: [{endpoint: a, prompts: p, weight: 1}, {endpoint: b, prompts: p, weight: 1}]}",
    "{find: {objective: {e2e_p95: 1s}, over: concurrency, from: 1, to: 4}, window: 5s}"])
def test_loads_that_need_all_of_them_end(load: str, tmp_path: Path) -> None:
    run = run_of(load, tmp_path)
    refused.require_others(run, {})
    with pytest.raises(FmloadError, match="no key"):
        refused.require_others(run, {"a": "no key"})


def test_its_stages_say_why_and_stay_open(tmp_path: Path) -> None:
    stages = plan(run_of("{concurrency: [1, 2]}", tmp_path))
    refused.mark(stages, {"a": "no key"}, 5)
    assert {stage.status for stage in stages} == {"pending"}
    assert {stage.endpoint: [mark.detail for mark in stage.marks] for stage in stages} == {"a": ["no key"], "b": []}
