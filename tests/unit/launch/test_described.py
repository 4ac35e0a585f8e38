"""What a few flags stand for: the run file of a URL."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.cli import flags
from fmload.config import RunFile
from fmload.config.loading import parse
from fmload.launch import server
from fmload.launch.described import Described, dataset, levels_of, run_file, seconds_of, users_of
from fmload.plan.stages import plan

PLAIN = Described(url="http://h:8000/v1", model="meta/Llama 3")


def parsed(asked: Described) -> RunFile:
    return parse(run_file(asked), "the flags", Path("/nowhere"))


def test_a_url_alone_is_a_short_sweep_without_objectives() -> None:
    run = parsed(PLAIN)
    assert [stage.load.value for stage in plan(run)] == [1, 4, 16]
    assert sum(stage.ramp_s + stage.warmup_s + (stage.window_s or 0) for stage in plan(run)) < 45
    assert (run.objectives, run.name, run.prompts[0].nonce) == ({}, "Llama-3", True)
    assert run.endpoints[0].model == "meta/Llama 3"


def test_flags_reach_the_run_file() -> None:
    run = parsed(replace(PLAIN, concurrency=(1, 8), window_s=30.0, input_tokens=55, output_tokens=7,
                         api_key_env="MY_KEY", instance_type="g5.xlarge", tokenizer="a/b"))
    assert [(stage.load.value, stage.window_s) for stage in plan(run)] == [(1, 30.0), (8, 30.0)]
    spec, prompts = run.endpoints[0], run.prompts[0]
    assert (spec.options.api_key_env, spec.tokenizer, spec.price and spec.price.instance_type) == (
        "MY_KEY", "a/b", "g5.xlarge")
    assert (prompts.options.input_tokens.mean, prompts.output_tokens and prompts.output_tokens.mean) == (55, 7)


def test_rates_are_poisson_arrivals() -> None:
    stages = plan(parsed(replace(PLAIN, rate=(2.0, 4.5))))
    assert [(stage.load.kind, stage.load.value) for stage in stages] == [("rate", 2.0), ("rate", 4.5)]
    assert stages[0].load.arrivals == {"process": "poisson"}


def test_requests_are_exactly_so_many_and_all_are_counted() -> None:
    stage = plan(parsed(replace(PLAIN, requests=200, concurrency=(8,))))[0]
    assert (stage.exact, stage.requests, stage.warmup_s, stage.ramp_s) == (True, 200, 0, 0)


def test_the_servers_own_tokenizer_counts_where_it_offers_one() -> None:
    run = parsed(replace(PLAIN, server_counts=True))
    assert (run.endpoints[0].options.align, run.prompts[0].count) == ("server", 400)


@pytest.mark.parametrize(("given", "source", "files"), [
    ("a/b.jsonl", "jsonl", "a/b.jsonl"), ("b.csv.gz", "csv", "b.csv.gz"), ("s3://x/y.parquet", "parquet", "s3://x/y.parquet"),
    ("sharegpt=my.json", "sharegpt", "my.json"), ("longbench", "longbench", "")])
def test_a_data_set_is_a_file_or_a_name(given: str, source: str, files: str) -> None:
    assert dataset(given) == (source, files)
    assert parsed(replace(PLAIN, dataset=given)).prompts[0].source == source


@pytest.mark.parametrize(("call", "told"), [
    (lambda: dataset("sharegtp"), "did you mean 'sharegpt'"),
    (lambda: dataset("sharegpt"), "--dataset sharegpt=FILE"),
    (lambda: users_of("--concurrency", "1,many"), "--concurrency 1,many"),
    (lambda: users_of("--concurrency", "1.5"), "whole numbers"),
    (lambda: levels_of("--rate", "0"), "above 0"),
    (lambda: levels_of("--rate", ""), "above 0"),
    (lambda: seconds_of("--duration", "soon"), "not a duration"),
    (lambda: seconds_of("--duration", "0"), "above 0")])
def test_what_means_nothing_is_refused(call: object, told: str) -> None:
    with pytest.raises(FmloadError) as raised:
        call()  # type: ignore[operator]
    assert told in str(raised.value)


@pytest.mark.parametrize(("answer_s", "levels", "requests"), [
    (None, None, None), (0.4, None, None), (1.0, None, None), (1.5, (1, 4), 8), (2.0, (1, 4), 6), (5.0, (1, 2), 2),
    (6.0, (1, 2), 2), (float("inf"), (1,), 2)])
def test_a_slow_server_gets_a_sweep_of_few_requests(
        answer_s: float | None, levels: tuple[int, ...] | None, requests: int | None) -> None:
    suited = Described(url="http://h/v1").paced(answer_s)
    assert (suited.concurrency, suited.requests) == (levels, requests)
    if answer_s and requests and levels:  # one after the other, and the answer that was timed: within a minute
        assert min(answer_s, 6) + min(answer_s, 20) * requests * len(levels) <= 48


@pytest.mark.parametrize(("answer_s", "window_s"), [
    (None, 10), (0.4, 10), (2.5, 10), (2.6, 11), (5.9, 24), (float("inf"), 60)])
def test_levels_that_were_chosen_last_for_four_answers_of_a_slow_server_and_a_minute_at_most(
        answer_s: float | None, window_s: float) -> None:
    asked = Described(url="http://h/v1", concurrency=(1, 2))
    suited = asked.lasting(answer_s)
    assert (suited.window_s, suited.concurrency, suited.requests) == (window_s, (1, 2), None)


def test_a_bare_number_is_seconds() -> None:
    assert (seconds_of("--duration", "30"), seconds_of("--duration", "1m30s")) == (30.0, 90.0)


@pytest.mark.parametrize(("flags_given", "words", "window_s", "requests"), [
    ({}, "few requests", 10, 2), ({"concurrency": "1,2"}, "takes 5 s: 20 s a level", 20, None),
    ({"rate": "2"}, "20 s a level", 20, None), ({"dataset": "a.jsonl"}, "20 s a level", 20, None),
    ({"concurrency": "1", "duration": "3s"}, "", 10, None), ({"requests": 7}, "", 10, None)])
def test_one_answer_is_timed_where_flags_leave_open_how_long_a_level_lasts(
        flags_given: dict[str, Any], words: str, window_s: float, requests: int | None,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "answer_s", lambda *_: 5.0)
    args = Namespace(**{**dict.fromkeys(("concurrency", "rate", "requests", "duration", "dataset")), **flags_given})
    said: list[str] = []
    suited = flags.paced(Described(url="http://h/v1"), args, said.append)
    assert (suited.window_s, suited.requests) == (window_s, requests)
    assert [words in line for line in said] == ([True] if words else [])
