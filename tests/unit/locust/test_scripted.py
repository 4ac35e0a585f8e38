"""Which run files go with users that write what they send; all problems are told in one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload.config import RunFile, parse
from fmload.locust import scripted
from fmload.plan.stages import plan
from fmload.prompts.preparation import wanted
from fmload.prompts.repeats import repeats
from fmload.results.folder import Results

SCENARIO = {"name": "chat", "source": "scenario"}
PREPARED = {"name": "short", "source": "synthetic", "input_tokens": 20, "output_tokens": 5}


class Person:
    scripted, protocol = True, "openai"
    endpoint: str | None = None


class Lawyer(Person):
    endpoint = "b"


class Plain:
    protocol = "openai"


def run_file(load: Any = None, prompts: Any = None, endpoints: Any = None) -> RunFile:
    return parse(yaml.safe_dump({
        "name": "n", "endpoints": endpoints or [CHAT],
        "prompts": prompts or [SCENARIO], "load": load or {"concurrency": [2], "window": "5s"}}), "run.yml", Path.cwd())


def test_users_of_a_scenario_go_with_a_set_of_a_scenario() -> None:
    scripted.check(run_file(), [Person])
    scripted.check(run_file(prompts=[PREPARED]), [Plain])
    assert scripted.any_of([Plain, Person]) and not scripted.any_of([Plain])


VECTORS = {"name": "v", "protocol": "embeddings", "url": "http://h/v1", "model": "m"}
RANKINGS = {**VECTORS, "name": "r", "protocol": "rerank"}
CHAT = {"name": "a", "protocol": "openai", "url": "http://h/v1", "model": "m"}
BESIDE = {"concurrency": [2], "window": "5s", "side_by_side": True}


@pytest.mark.parametrize("beside", [VECTORS, {**RANKINGS, "name": "v"}])
def test_an_endpoint_that_embeds_or_ranks_is_asked_by_the_users_of_the_others_and_has_none_of_its_own(
        beside: dict[str, Any]) -> None:
    run = run_file(BESIDE, endpoints=[CHAT, {**CHAT, "name": "b"}, beside])
    scripted.check(run, [Person])
    stages = plan(run)
    assert [(one.endpoint, one.load.value, one.slots, one.beside) for one in stages] == [
        ("a", 2, 2, False), ("b", 2, 2, False), ("v", 4, 0, True)]
    prepared = plan(run_file(BESIDE, [PREPARED], endpoints=[CHAT, VECTORS]))
    assert [(one.slots, one.beside) for one in prepared] == [(2, False), (2, False)]


@pytest.mark.parametrize(("endpoints", "load", "words"), [
    ([CHAT, VECTORS], {"concurrency": [2], "window": "5s"}, ["endpoint 'v' embeds", "side_by_side: true"]),
    ([VECTORS], BESIDE, ["no other one generates text"]),
    ([CHAT, RANKINGS], {"concurrency": [2], "window": "5s"}, ["endpoint 'r' ranks", "client.rerank"]),
    ([RANKINGS, VECTORS], BESIDE, ["endpoint 'r' ranks", "no other one generates text"]),
    ([CHAT, VECTORS], {"concurrency": [2], "requests": 9, "side_by_side": True}, ["load.requests", "a window"])])
def test_where_an_endpoint_that_embeds_or_ranks_does_not_fit_it_is_told(endpoints: Any, load: Any,
                                                                         words: list[str]) -> None:
    with pytest.raises(FmloadError) as told:
        scripted.check(run_file(load, endpoints=endpoints), [Person])
    assert all(word in str(told.value) for word in words)


@pytest.mark.parametrize(("run", "users", "words"), [
    ({"prompts": [PREPARED]}, [Person], ["prompt set 'short'", "source: scenario"]),
    ({}, [Plain], ["prompt set 'chat'", "Plain", "OpenAIUser"]),
    ({}, [Person, Plain], ["Plain", "two locustfiles"]),
    ({}, [Lawyer], ["Lawyer", "endpoint 'b'", "it has a"]),
    ({"load": {"rate": [2], "window": "5s"}}, [Person], ["load.rate", "load.concurrency"]),
    ({"load": {"concurrency": [2], "requests": {"exactly": 9}}}, [Person], ["load.requests.exactly"]),
    ({"load": {"rate": [2], "window": "5s"}, "prompts": [PREPARED]}, [Lawyer], ["'short'", "load.rate", "'b'"])])
def test_what_does_not_go_together_is_told_with_the_remedy(run: Any, users: list[Any], words: list[str]) -> None:
    with pytest.raises(FmloadError) as told:
        scripted.check(run_file(**run), users)
    assert all(word in str(told.value) for word in words)


def test_a_set_of_a_scenario_is_one_short_prompt_of_which_nobody_is_warned(tmp_path: Path) -> None:
    run = run_file()
    assert wanted(run, run.prompts[0]) is None
    assert list(repeats(run, [], Results(tmp_path))) == []


def test_user_classes_of_several_protocols_need_a_run_file_and_classes_without_one_speak_none() -> None:
    class Web:  # a FastHttpUser beside
        pass

    class Aws(Person):
        protocol = "bedrock"

    assert list(scripted.protocols([Web, Aws, Aws])) == ["bedrock"]
    scripted.check_protocols([Web, Aws])
    assert "Web asks no model" in next(scripted.remarks([Web, Aws])) and not list(scripted.remarks([Person, Aws]))
    with pytest.raises(FmloadError, match="Person openai and Aws bedrock") as told:
        scripted.check_protocols([Person, Aws])
    assert "--fmload-config" in str(told.value)
