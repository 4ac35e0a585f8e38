"""A run stops before `max_cost` is passed: what is under way, and what nobody has heard of yet, is counted."""

from __future__ import annotations

from typing import Any

import pytest

from fmload.master.budget import Budget
from fmload.master.spend import Spend
from fmload.model.record import pack
from fmload.model.stage import Load, Stage
from fmload.pricing.resolve import Pricing, Unpriced
from tests.handmade import BASE_NS, MS, request

BY_TOKEN = Pricing("t", input_per_1m=1000.0, output_per_1m=0.0)  # a request of ten input tokens costs a cent
HOURLY = Pricing("t", usd_per_hour=3600.0)


def stage(users: int = 4, kind: Any = "concurrency", **columns: Any) -> Stage:
    return Stage(0, 0, 0, "a", "p", Load(kind, users), {}, 0, 0, 60, None, 30, status="running",
                 **{"ramp_start_ns": BASE_NS, "window_start_ns": BASE_NS, **columns})


def spent(on: Stage, requests: int, price: Pricing = BY_TOKEN) -> Spend:
    spend = Spend({"a": price}, [on])
    spend.take(pack(request(f"r{number}", number, [number + 5], end_ms=number + 5)) for number in range(requests))
    return spend


@pytest.mark.parametrize(("requests", "stops"), [(95, False), (96, True), (120, True)])
def test_every_user_has_a_request_under_way_that_is_still_to_be_paid(requests: int, stops: bool) -> None:
    on = stage()
    reason = Budget(1.0, spent(on, requests), lambda: 0).reason_to_stop([on])  # 4 users × 1 cent to come
    assert (reason is not None) is stops
    assert reason is None or "max_cost (1 USD)" in reason


def test_a_few_requests_say_too_little_of_the_price_of_the_next() -> None:
    on = stage()
    assert Budget(1.0, spent(on, 19), lambda: 0).still_to_pay_usd([on]) == pytest.approx(1.1 * 4 * 0.01)
    assert Budget(1.0, spent(on, 20), lambda: 0).still_to_pay_usd([on]) == pytest.approx(4 * 0.01)


def test_of_requests_whose_prices_vary_the_dear_ones_are_under_way() -> None:
    on = stage(100)
    spend = Spend({"a": BY_TOKEN}, [on])
    spend.take(pack(request(f"r{at}", at, [at + 5], end_ms=at + 5, input_tokens=(2, 38)[at % 10 > 7]))
               for at in range(100))  # 0.2 or 3.8 cents: in the mean 0.92, standard deviation 1.44
    likely = 100 * (0.0092 + 0.0144 ** 2 / 0.0092)
    assert Budget(1.0, spend, lambda: 0).still_to_pay_usd([on]) == pytest.approx(likely + 2 * 0.0144 * 10)


def test_what_silent_workers_have_not_told_is_counted_a_second_of_it_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    on, silent = stage(), [0.3]
    spend = spent(on, 30)
    monkeypatch.setattr(Spend, "tokens_usd_per_s", lambda self, now_s: 0.5)
    budget = Budget(1.0, spend, lambda: 0, silent_s=lambda: silent[0])
    assert budget.still_to_pay_usd([on]) == pytest.approx(4 * 0.01 + 0.5 * (0.3 + 0.2))
    silent[0] = 30.0
    assert budget.still_to_pay_usd([on]) == pytest.approx(4 * 0.01 + 0.5 * (1.0 + 0.2))


def test_before_any_request_has_ended_the_guess_of_the_plan_counts() -> None:
    on = stage()
    assert Budget(1.0, spent(on, 0), lambda: 0, {("a", "p"): 0.2}).reason_to_stop([on]) is None
    assert Budget(1.0, spent(on, 0), lambda: 0, {("a", "p"): 0.3}).reason_to_stop([on]) is not None


def test_an_open_loop_has_under_way_what_arrives_while_one_is_answered() -> None:
    on = stage(100, "rate")
    budget = Budget(10.0, spent(on, 20), lambda: 0)
    assert budget.still_to_pay_usd([on]) == pytest.approx(100 * 0.005 * 0.01)


def test_an_hourly_endpoint_is_paid_until_its_drain_has_ended() -> None:
    on = stage(window_end_ns=BASE_NS + 60_000 * MS, drain_end_ns=BASE_NS + 60_000 * MS)
    spend = spent(on, 10, HOURLY)
    assert spend.usd() == pytest.approx(60.0)
    assert Budget(62.1, spend, lambda: 0).reason_to_stop([on]) is None  # a second of drain, and one until all know
    assert Budget(61.9, spend, lambda: 0).reason_to_stop([on]) is not None


def test_an_unknown_price_spends_nothing_and_is_told() -> None:
    on = stage()
    spend = Spend({"a": Unpriced("no price", "give one")}, [on])
    spend.take([pack(request("r", 0, [5]))])
    assert (spend.usd(), spend.usd_of("a", "p"), list(spend.unpriced())) == (0.0, None, ["a"])


def test_waste_is_what_bought_no_measured_answer() -> None:
    on = stage(window_end_ns=BASE_NS + 1000 * MS)
    spend = Spend({"a": BY_TOKEN}, [on])
    spend.take(map(pack, (
        request("early", -20, [-10]), request("good", 10, [20]), request("late", 990, [1001]),
        request("broken", 10, [20], outcome="stream_error", input_tokens=None, prompt_tokens=10),
        request("refused", 10, outcome="throttled", status=429, input_tokens=None, prompt_tokens=10),
        request("unsent", 10, outcome="connect", input_tokens=None, prompt_tokens=10, send_ns=None, status=None),
        request("stopped", 10, [20], outcome="cancelled"))))
    assert {kind: round(usd, 9) for kind, usd in spend.of_stage(on).usd.items()} == {
        "useful": 0.01, "outside": 0.02, "failed": 0.01, "cancelled": 0.01}
    assert spend.usd_wasted() == pytest.approx(0.04)
