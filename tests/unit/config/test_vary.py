"""Candidates in the run file: paths, words, rules, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.config import dump
from fmload.config.loading import parse
from fmload.config.problems import RunFileError
from fmload.stacks.candidates import stacks_of, trial_run

RUN = """\
name: s
endpoints:
  - name: a
    protocol: openai
    deploy:
      target: local
      command: [serve, --port, "{{port}}", --threads, "{{threads}}", "{{flags}}"]
      env: {{SIZE: "{{size}}"}}
    price: {{hourly: 1.0}}
{vary}
prompts: [{{name: p, source: synthetic, input_tokens: 10, output_tokens: 5}}]
load: {{find: {{objective: {{ttft_p95: 1s}}}}, window: 40s}}
"""


def run_of(vary: str) -> Any:
    text = RUN.format(vary="\n".join(f"    {line}" for line in vary.strip().splitlines()))
    return parse(text, "run.yml", Path())


def problems_of(vary: str) -> str:
    with pytest.raises(RunFileError) as raised:
        run_of(vary)
    return str(raised.value)


def test_every_combination_is_a_candidate_and_the_first_is_the_default() -> None:
    stacks = stacks_of(run_of("vary: {threads: [1, 2], size: [s, m, l]}"))
    assert [one.candidate.text for one in stacks] == [
        "threads=1, size=s", "threads=1, size=m", "threads=1, size=l", "threads=2, size=s", "threads=2, size=m",
        "threads=2, size=l"]
    assert [one.candidate.is_default for one in stacks] == [True] + 5 * [False]
    assert [one.candidate.name for one in stacks] == [f"a-{number}" for number in range(6)]


def test_a_word_is_replaced_wherever_it_stands() -> None:
    last = stacks_of(run_of("vary: {threads: [1, 2], size: [s, m]}"))[-1].spec
    assert last.deploy is not None
    assert last.deploy.options.command == ["serve", "--port", "{port}", "--threads", "2", "{flags}"]
    assert last.deploy.options.env == {"SIZE": "m"}


def test_a_list_takes_the_place_of_its_element_and_an_empty_one_takes_it_away() -> None:
    none, two = (stack.spec.deploy for stack in stacks_of(run_of("vary: {flags: [[], [--fast, on]]}")))
    assert none is not None and none.options.command[4:] == ["{threads}"]
    assert two is not None and two.options.command[4:] == ["{threads}", "--fast", "on"]


def test_a_path_sets_a_key_of_the_entry() -> None:
    one, two = stacks_of(run_of("vary: {price.hourly: [1.0, 2.0]}"))
    assert one.spec.price is not None and two.spec.price is not None
    assert (one.spec.price.hourly, two.spec.price.hourly) == (1.0, 2.0)


def test_a_named_value_changes_several_keys_together() -> None:
    one, two = stacks_of(run_of("vary: {machine: {small: {price.hourly: 1.0, threads: 2}, "
                                "big: {price.hourly: 4.0, threads: 8}}}"))
    assert (one.candidate.text, two.candidate.text) == ("machine=small", "machine=big")
    assert two.spec.price is not None and two.spec.price.hourly == 4.0
    assert two.spec.deploy is not None and two.spec.deploy.options.command[4] == "8"


def test_exclude_leaves_out_what_has_all_of_its_settings_and_numbers_stay() -> None:
    stacks = stacks_of(run_of("vary: {threads: [1, 2], size: [s, m]}\nexclude: [{threads: 1, size: [m]}]"))
    assert [(one.candidate.name, one.candidate.text) for one in stacks] == [
        ("a-0", "threads=1, size=s"), ("a-2", "threads=2, size=s"), ("a-3", "threads=2, size=m")]


def test_require_asks_for_settings_where_others_are() -> None:
    stacks = stacks_of(run_of("vary: {threads: [1, 2], size: [s, m]}\n"
                              "require: [{when: {threads: 2}, then: {size: m}}]"))
    assert [one.candidate.text for one in stacks] == ["threads=1, size=s", "threads=1, size=m", "threads=2, size=m"]


def test_a_path_may_bring_what_the_entry_lacks() -> None:
    text = RUN.format(vary="    vary: {deploy.start_timeout: [30s, 60s]}").replace("threads}", "port}")
    spec = parse(text, "run.yml", Path()).endpoints[0]
    assert spec.deploy is not None and spec.deploy.options.start_timeout_s == 30.0


@pytest.mark.parametrize("vary, told", [
    ("vary: {price.hourly: [1.0, dear]}",
     "run.yml:10: endpoints[0].vary.price.hourly[1]: price.hourly: must be a number"),
    ("vary: {threds: [1, 2]}", "unknown key 'threds'"),
    ("vary: {threads: [1, 2]}\nexclude: [{thread: 1}]", "vary has no such key; did you mean 'threads'?"),
    ("vary: {threads: [1, 2]}\nexclude: [{threads: 3}]", "3 is none of its values: 1, 2"),
    ("vary: {threads: [1, 2]}\nexclude: [{threads: [1, 2]}]", "leaves no candidate"),
    ("vary: {threads: [1, 2]}\nrequire: [{when: {threads: 1}}]", "require[0].then: is missing"),
    ("exclude: [{threads: 1}]", "goes with vary"),
    ("vary: {threads: []}", "vary.threads: needs at least one value"),
    ("vary: [1, 2]", "must be a mapping"),
])
def test_what_cannot_be_is_told_with_its_place(vary: str, told: str) -> None:
    assert told in problems_of(vary)


def test_too_many_combinations_are_refused() -> None:
    values = list(range(20))
    assert "8,000 combinations; 4,096 are the most" in problems_of(
        f"vary: {{threads: {values}, size: {values}, flags: {values}}}")


def test_a_combination_that_is_no_endpoint_is_told_with_its_settings() -> None:
    run = run_of("vary: {price.hourly: [1.0, 2.0], url: [null, 'http://h/v1'], urls: [null, ['http://g/v1']]}")
    with pytest.raises(FmloadError, match=r"a-3 .*give either url or urls"):
        stacks_of(run)


def test_the_resolved_file_has_the_same_candidates() -> None:
    run = run_of("vary: {threads: [1, 2], price.hourly: [1.0, 2.0]}\nexclude: [{threads: 1, price.hourly: 2.0}]\n"
                 "require: [{when: {threads: 2}, then: {price.hourly: 2.0}}]")
    again = parse(dump(run), "run.yml", Path())
    assert [(one.candidate, one.spec.model_dump()) for one in stacks_of(again)] == [
        (one.candidate, one.spec.model_dump()) for one in stacks_of(run)]


def test_a_short_trial_has_shorter_windows_and_looks_less_exactly() -> None:
    run = run_of("vary: {threads: [1, 2]}")
    short = trial_run(run, stacks_of(run)[1], 0.25, 3.0)
    assert short.load.window_s == 10.0 and short.load.find is not None
    assert short.load.find.within == pytest.approx(4 * 0.05)
    assert short.max_cost == 3.0 and [one.name for one in short.endpoints] == ["a-1"]
    assert not short.endpoints[0].vary


@pytest.mark.parametrize("load, told", [
    ("{concurrency: [1], side_by_side: true}", "load.side_by_side"),
    ("{find: {knee: true}}", "load.find.knee"),
])
def test_loads_that_compare_nothing_are_refused(load: str, told: str) -> None:
    text = RUN.format(vary="    vary: {threads: [1, 2]}")
    text = text.replace("{find: {objective: {ttft_p95: 1s}}, window: 40s}", load)
    with pytest.raises(RunFileError, match=told):
        parse(text, "run.yml", Path())
