"""What a fleet costs: until its run or its lease has ended, whatever comes later; and never what was refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fmload_deploy.fleet import cost
from fmload_deploy.fleet.base import Fleet, Told
from fmload_deploy.ledger import Ledger
from fmload_deploy.resource import Resource

FLEET = Fleet("big", "ec2", 3, 7200.0, 900.0, "results/big")
HOST = Resource("ec2-instance", "fmload-big-0", "us-east-1", 0.5)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger.begin(tmp_path / "ledger.jsonl", "fleet-big")
    made.write("creating", HOST, "big")
    made.write("created", HOST, "big")
    return made


def later(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def test_it_costs_by_the_hour_while_it_is_up(ledger: Ledger) -> None:
    assert cost.spent_usd(FLEET, ledger, None, later(1)) == pytest.approx(0.5, abs=0.001)


def test_after_its_lease_it_costs_no_more(ledger: Ledger) -> None:
    assert cost.spent_usd(FLEET, ledger, None, later(30)) == pytest.approx(1.0, abs=0.001)


def test_after_its_run_it_costs_no_more(ledger: Ledger) -> None:
    ended = Told("ended", 3, exit_code=0, ended_utc=later(0.5).isoformat())
    assert cost.spent_usd(FLEET, ledger, ended, later(30)) == pytest.approx(0.25, abs=0.001)


def test_what_was_refused_costs_nothing(tmp_path: Path) -> None:
    ledger = Ledger.begin(tmp_path / "ledger.jsonl", "fleet-big")
    ledger.write("creating", HOST, "big")
    ledger.write("refused", HOST, "big")
    assert cost.spent_usd(FLEET, ledger, None, later(1)) == 0
    assert cost.hourly_usd(ledger) == 0


def test_an_unknown_price_is_not_zero(ledger: Ledger) -> None:
    ledger.write("created", Resource("ec2-instance", "fmload-big-1", "us-east-1", None), "big")
    assert cost.spent_usd(FLEET, ledger, None, later(1)) is None
    assert cost.hourly_usd(ledger) is None


def test_a_fleet_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = Fleet("big", "ec2", 3, 7200.0, 900.0, "r", "us-east-1", {"subnet": "s"}, ("openai",), ("KEY",))
    made.write(tmp_path)
    assert Fleet.read(tmp_path) == made
