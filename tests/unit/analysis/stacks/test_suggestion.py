"""What a search says should be tried next."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import yaml

from fmload.config.loading import parse
from fmload.model.stack import Candidate, Figure, StackSearch, Trial
from fmload.stacks.candidates import stacks_of
from fmload_analysis.stacks.suggestion import suggestion
from fmload_analysis.stacks.winner import next_of
from fmload_analysis.stacks.words import suggested


def search_of(limit: str, tried: tuple[int, ...] = (0, 1)) -> StackSearch:
    """Candidates of batch 8, 16 and 32 on two machines; the second of those tried is the best."""
    settings = [{"machine": machine, "max_num_seqs": seqs} for machine, seqs in product(("a", "b"), ("8", "16", "32"))]
    search = StackSearch("s", "price_per_1m_output_tokens", "grid", 0, [
        Candidate(f"c-{number}", "c", one, number == 0) for number, one in enumerate(settings)])
    search.trials = [Trial(place, f"c-{number}", 1.0, f"trials/{number}", "measured",
                           figure=Figure(9.0 - place, 8.9 - place, 9.1 - place), facts={"limit": limit})
                     for place, number in enumerate(tried)]
    return search


def test_a_full_batch_suggests_the_next_larger_one_of_the_same_machine_that_was_not_tried() -> None:
    found = suggestion(search_of("batch size"))
    assert found is not None and (found.candidate, found.key, found.value, found.before) == (
        "c-2", "max_num_seqs", "32", "16")
    assert suggested(search_of("batch size")) == ("The winner was short of: batch size. Next to be tried is c-2, with "
                                                  "`max_num_seqs` 32 in the place of 16.")


def test_a_full_cache_suggests_a_smaller_batch() -> None:
    found = suggestion(search_of("KV cache", tried=(0, 2)))
    assert found is not None and found.candidate == "c-1"


def test_beyond_the_largest_value_the_search_gets_a_new_one() -> None:
    found = suggestion(search_of("batch size", tried=(0, 2)))
    assert found is not None and (found.candidate, found.value) == (None, "64")
    assert "next.yml" in suggested(search_of("batch size", tried=(0, 2)))


def test_what_was_tried_already_is_not_suggested() -> None:
    assert suggestion(search_of("batch size", tried=(0, 2, 1))) is None


def test_a_limit_that_no_setting_moves_suggests_nothing() -> None:
    assert suggestion(search_of("load")) is None and suggested(search_of("unknown")) == ""
    assert suggestion(search_of("memory bandwidth")) is None


def test_while_nothing_was_measured_nothing_is_suggested() -> None:
    assert suggestion(search_of("batch size", tried=())) is None


def test_the_run_file_of_a_suggestion_is_a_search_over_the_winner_and_it(tmp_path: Path) -> None:
    run = parse("""\
name: s
endpoints:
  - name: c
    protocol: openai
    deploy: {target: local, emulator: steady, emulator_options: [--engine, "max_num_seqs={max_num_seqs}"]}
    price: {hourly: 1}
    vary:
      machine: {a: {price.hourly: 1}, b: {price.hourly: 2}}
      max_num_seqs: [8, 16, 32]
    exclude: [{machine: b, max_num_seqs: 8}]
prompts: [{name: p, source: synthetic, input_tokens: 20, output_tokens: 20, count: 10}]
load: {find: {objective: {ttft_p90: 3s}}, window: 10s}
""", "run.yml", tmp_path)
    found = suggestion(search_of("batch size", tried=(0, 2)))
    stack = next(one for one in stacks_of(run) if one.candidate.text == "machine=a, max_num_seqs=32")
    assert found is not None
    text = next_of(run, stack, found)
    assert text is not None and yaml.safe_load(text)["endpoints"][0]["vary"]["max_num_seqs"] == [32, 64]
    assert [one.candidate.text for one in stacks_of(parse(text, "next.yml", tmp_path))] == [
        "machine=a, max_num_seqs=32", "machine=a, max_num_seqs=64"]
