"""Asking Locust for users is not what a big load waits for."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from fmload.config import RunFile, parse
from fmload.master.collector import Collector
from fmload.master.controller import Controller
from fmload.master.user_target import Users, UserTarget
from fmload.master.worker_registry import Runner

RUN = """
name: t
endpoints: [{{name: e, protocol: openai, url: 'http://h/v1'}}]
prompts: [{{name: p, {source}}}]
load: {{concurrency: [1]}}
"""


class Deaf:
    """A collector whose registry asks nothing of it yet."""

    on_lost = on_back = on_joined = on_trouble = None


def run_of(source: str) -> RunFile:
    return parse(RUN.format(source=source), "run.yml", Path("/base"))


def asked(run: RunFile, users: int, workers: int) -> Users:
    controller = Controller(run, [], cast(Collector, Deaf()), cast(Runner, None))
    controller.user_target.ask(users, workers)
    target = controller.user_target.target
    assert target is not None
    return target


def test_users_of_prompts_come_in_one_message_up_to_two_thousand_a_worker() -> None:
    run = run_of("source: synthetic, input_tokens: 5")
    assert asked(run, 1024, 1).rate >= 1024  # Locust starts as many as its rate says at once, and sleeps a second
    assert asked(run, 10_000, 5).rate >= 10_000


def test_users_of_a_scenario_come_one_by_one_since_they_may_ask_servers_of_their_own() -> None:
    assert asked(run_of("source: scenario"), 1024, 2).rate < 2 * 100


def test_equal_targets_differ_so_that_users_are_spread_again() -> None:
    target = UserTarget()
    target.ask(8, 2)
    first = target.target
    target.ask(8, 2)
    assert target.target != first
