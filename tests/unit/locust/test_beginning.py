"""Locust does not warn of what is meant."""

from __future__ import annotations

import logging

import pytest

from fmload.locust import beginning


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
