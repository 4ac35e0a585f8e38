"""Which run files go with users that write what they send; all problems are told in one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload.config import RunFile, parse
from fmload.locust import scripted
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


def run_file(load: Any = None, prompts: Any = None) -> RunFile:
    return parse(yaml.safe_dump({
        "name": "n", "endpoints": [{"name": "a", "protocol": "openai", "url": "http://h/v1", "model": "m"}],
        "prompts": prompts or [SCENARIO], "load": load or {"concurrency": [2], "window": "5s"}}), "run.yml", Path.cwd())


def test_users_of_a_scenario_go_with_a_set_of_a_scenario() -> None:
    scripted.check(run_file(), [Person])
    scripted.check(run_file(prompts=[PREPARED]), [Plain])
    assert scripted.any_of([Plain, Person]) and not scripted.any_of([Plain])


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
