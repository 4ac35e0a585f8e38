"""A master goes on as soon as its workers have greeted, and Locust does not warn of what is meant."""

from __future__ import annotations

import logging
import os
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fmload.base.errors import EXIT_INTERRUPTED, FmloadError
from fmload.launch import parent
from fmload.locust import beginning
from fmload.locust.beginning import Arrival
from fmload.locust.plugin import Plugin
from fmload.master import flush


def test_locust_does_not_warn_of_users_that_come_together_and_of_all_else_it_does(
        caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("locust.runners")
    beginning.expect_many_at_once()
    try:
        logger.warning("Your selected spawn rate is very high (>100/worker), and this is known to …")
        logger.warning("CPU usage was too high at some point during the test!")
    finally:
        logger.removeFilter(beginning._no_warning_of_speed)
    assert [record.message for record in caplog.records] == ["CPU usage was too high at some point during the test!"]


class Clock:
    """Time goes on while one sleeps; another worker greets in each sleep, `most` of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.now, self.greeted, self.most = 0.0, 0, most
        monkeypatch.setattr(beginning, "gevent", SimpleNamespace(sleep=self.sleep))
        monkeypatch.setattr(beginning, "time", SimpleNamespace(monotonic=lambda: self.now))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.greeted = min(self.most, self.greeted + 1)


def options(**given: object) -> Namespace:
    usual = {"headless": True, "autostart": False, "expect_workers": 3, "expect_workers_max_wait": 60}
    return Namespace(**{**usual, **given})


def test_the_wait_for_workers_ends_as_soon_as_all_have_greeted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, given = Clock(monkeypatch, 3), options()
    arrival = Arrival(given, lambda: clock.greeted)
    assert given.expect_workers == 0, "Locust itself waits for none"
    assert arrival.wait() is None
    assert clock.greeted == 3 and clock.now == pytest.approx(3 * beginning.POLL_S)
    assert given.expect_workers == 3, "a locustfile may read it"


def test_workers_that_do_not_come_in_time_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 1)
    assert Arrival(options(), lambda: clock.greeted).wait() == "1 of 3 workers came within 60 s"


def test_a_worker_that_is_lost_after_the_first_run_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 3)
    arrival = Arrival(options(), lambda: clock.greeted)
    assert arrival.wait() is None
    clock.greeted = clock.most = 0
    assert arrival.wait() is None


def test_a_master_with_a_page_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 0)
    assert Arrival(options(headless=False), lambda: clock.greeted).wait() is None


def test_no_load_begins_after_ctrl_c() -> None:
    """Not even where it came while the master still opened its run: Locust asks for the first users all the same."""
    told: list[FmloadError] = []
    master: Any = SimpleNamespace(runner=None, collector=None, _open=SimpleNamespace, _prices=lambda session: {},
                                  _interrupts=1, _cannot_begin=told.append)
    assert not Plugin._begin_run(master)
    assert master.collector is None and told[0].exit_code == EXIT_INTERRUPTED


@pytest.mark.parametrize(("told", "by_the_master"), [(None, True), (os.getppid(), False), (1 << 30, True)])
def test_the_master_compacts_unless_fmload_run_is_there_to_do_it(told: int | None, by_the_master: bool,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    compacted: list[Path] = []
    monkeypatch.setattr(flush, "compact", compacted.append)
    monkeypatch.setenv(parent.VARIABLE, "" if told is None else str(told))
    Plugin._compact(Path("r"))
    assert compacted == [Path("r")] * by_the_master
