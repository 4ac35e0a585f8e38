"""Load shapes of a locustfile's own: looked through before the run, followed in it, refused where they do not fit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from locust import LoadTestShape

from fmload.base.errors import FmloadError
from fmload.config import RunFile, parse
from fmload.locust import scripted
from fmload.locust.shape import FollowedShape, Foreseen, foresee


class Steps(LoadTestShape):
    """2 users, then 6, then 3: 30 seconds."""

    def tick(self) -> Any:
        now = self.get_run_time()
        return next(((users, 10) for until, users in ((10, 2), (20, 6), (30, 3)) if now < until), None)


class Endless(LoadTestShape):
    def tick(self) -> Any:
        return 4, 1


def test_the_most_users_and_the_length_of_a_shape_are_known_before_it_runs() -> None:
    assert foresee(Steps()) == Foreseen(6, 30)
    assert foresee(Endless()) == Foreseen(4, None)


def test_looking_ahead_leaves_the_shape_as_it_was() -> None:
    shape = Steps()
    foresee(shape)
    assert shape.tick() == (2, 10) and shape.get_run_time() < 10


def test_a_shape_is_followed_from_the_stages_beginning_and_its_last_users_stay_until_the_stage_ends() -> None:
    ours: list[Any] = [(9, 90.0)] * 3 + [None]
    theirs: Any = SimpleNamespace(use_common_options=False, resets=0, ticks=[(2, 1), (6, 1), None])
    theirs.reset_time = lambda: setattr(theirs, "resets", theirs.resets + 1)
    theirs.tick = lambda: theirs.ticks.pop(0)
    shape = FollowedShape(theirs)
    shape.runner = SimpleNamespace(environment=SimpleNamespace(  # type: ignore[assignment]
        fmload=SimpleNamespace(tick=lambda: ours.pop(0))))
    assert [shape.tick() for _ in range(4)] == [(2, 1), (6, 1), (6, 1), None]
    assert theirs.resets == 1 and not shape.use_common_options


class Person:
    scripted, protocol = True, "openai"


class Plain:
    protocol = "openai"


def run_file(**load: Any) -> RunFile:
    return parse(yaml.safe_dump({
        "name": "n", "endpoints": [{"name": "a", "protocol": "openai", "url": "http://h/v1", "model": "m"}],
        "prompts": [{"name": "chat", "source": "scenario"}],
        "load": {"concurrency": [6], "window": "5s", **load}}), "run.yml", Path.cwd())


def test_a_shape_and_a_run_file_that_agree_go_together() -> None:
    scripted.check_shape(run_file(shape=True), [Person], followed=True)
    scripted.check_shape(run_file(), [Person], followed=False)


@pytest.mark.parametrize(("load", "user", "followed", "words"), [
    ({}, Person, True, "shape: true"), ({"shape": True}, Person, False, "no LoadTestShape"),
    ({"shape": True}, Plain, True, "Plain sends prepared prompts")])
def test_who_gives_the_load_is_said_once(load: dict[str, Any], user: Any, followed: bool, words: str) -> None:
    with pytest.raises(FmloadError, match=words):
        scripted.check_shape(run_file(**load), [user], followed)
