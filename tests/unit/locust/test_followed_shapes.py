"""Load shapes of a locustfile's own: looked through before the run, followed in it, refused where they do not fit."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload.config import RunFile, parse
from fmload.locust import scripted
from fmload.locust.foreseen import Follower, Foreseen, foresee


class Shape:
    """What Locust's LoadTestShape has of a clock."""

    def __init__(self) -> None:
        self.reset_time()

    def reset_time(self) -> None:
        self.start_time = time.perf_counter()

    def get_run_time(self) -> float:
        return time.perf_counter() - self.start_time


class Steps(Shape):
    """2 users, then 6, then 3: 30 seconds."""

    def tick(self) -> Any:
        now = self.get_run_time()
        return next(((users, 10) for until, users in ((10, 2), (20, 6), (30, 3)) if now < until), None)


class Endless(Shape):
    def tick(self) -> Any:
        return 4, 1


def test_the_most_users_and_the_length_of_a_shape_are_known_before_it_runs() -> None:
    assert foresee(Steps()) == Foreseen(6, 30)
    assert foresee(Endless()) == Foreseen(4, None)


def test_looking_ahead_leaves_the_shape_as_it_was() -> None:
    shape = Steps()
    foresee(shape)
    assert shape.tick() == (2, 10) and shape.get_run_time() < 10


def test_a_shapes_clock_begins_with_its_first_tick_and_its_last_users_stay_when_it_has_ended() -> None:
    theirs: Any = SimpleNamespace(resets=0, ticks=[(2, 1), (6, 1), None, None])
    theirs.reset_time = lambda: setattr(theirs, "resets", theirs.resets + 1)
    theirs.tick = lambda: theirs.ticks.pop(0)
    follower = Follower(theirs)
    assert [follower.tick("runner") for _ in range(4)] == [(2, 1), (6, 1), (6, 1), (6, 1)]
    assert (theirs.resets, theirs.runner) == (1, "runner")


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
