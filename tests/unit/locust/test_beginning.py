"""Locust's start is not waited for longer than its workers need, and does not warn of what is meant."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace

import locust.main
import pytest

from fmload.locust import beginning


def test_the_wait_for_workers_ends_as_soon_as_all_are_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    ready: list[str] = []
    looks: list[float] = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        ready.append("another")

    monkeypatch.setattr(locust.main, "time", time)
    monkeypatch.setattr(beginning, "gevent", SimpleNamespace(sleep=look))
    beginning.await_workers_closely(SimpleNamespace(clients=SimpleNamespace(ready=ready)), 3)
    vars(locust.main)["time"].sleep(3600.0)
    assert looks == [beginning.POLL_S] * 3


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
