"""The running bill of a mix: its components share their endpoint's hours as the report has it."""

from __future__ import annotations

import pytest

from fmload.master.spend import Spend
from fmload.model.record import pack
from fmload.model.stage import Load, Stage
from fmload.pricing.resolve import Pricing
from tests.handmade import BASE_NS, MS, request

HOURLY = Pricing("t", usd_per_hour=3600.0)


def component(number: int, **columns: int) -> Stage:
    return Stage(number, 0, 0, "a", f"p{number}", Load("rate", 4), {}, 0, 0, 10, None, 0, status="done",
                 **{"ramp_start_ns": BASE_NS - 1000 * MS, "window_start_ns": BASE_NS,
                    "window_end_ns": BASE_NS + 10_000 * MS, "drain_end_ns": BASE_NS + 11_000 * MS, **columns})


def test_components_pay_by_the_time_of_their_requests_in_flight_in_the_window() -> None:
    stages = [component(0), component(1)]
    spend = Spend({"a": HOURLY}, stages)
    assert [spend.usd_of_stage(one) for one in stages] == [pytest.approx(6.0)] * 2  # nothing known: even parts
    spend.take(pack(request(f"r{at}", at, [at + 50], end_ms=at + 100, stage=0)) for at in range(0, 1000, 100))
    spend.take([pack(request("long", -5000, [100], end_ms=2000, stage=1)),
                pack(request("cut", 9000, [9100], end_ms=10_800, stage=1))])
    assert [spend.usd_of_stage(one) for one in stages] == [pytest.approx(12 / 4), pytest.approx(12 * 3 / 4)]
    assert spend.usd() == pytest.approx(12.0)


def test_the_clock_of_a_worker_moves_no_part() -> None:
    ahead = 3_600_000_000_000
    stages = [component(0), component(1)]
    spend = Spend({"a": HOURLY}, stages)
    spend.take([pack(request("r", 0, [50], end_ms=1000, stage=0))])
    late = request("s", 0, [50], end_ms=1000, stage=1)
    late.send_ns, late.end_ns = late.send_ns + ahead, late.end_ns + ahead
    spend.take([pack(late)], ahead)
    assert [spend.usd_of_stage(one) for one in stages] == [pytest.approx(6.0)] * 2
