"""Prices of stages, months and break-evens: figures worked out by hand."""

from __future__ import annotations

import pytest

from fmload.metrics.definitions import Totals
from fmload.pricing.resolve import Pricing
from fmload_analysis.stage.spend import Spend
from fmload_analysis.verdict.cost import Cost, break_even, cost_of, month_at, priced


def test_unknown_prices_are_none_everywhere() -> None:
    assert cost_of(Totals(window_s=60, completed=10, tokens_out=100), None) == Cost()


def test_price_of_a_good_request_shares_out_the_others() -> None:
    pricing = Pricing("t", usd_per_hour=3.6)
    found = cost_of(Totals(window_s=100, completed=10, good=5, usd_per_hour=3.6), pricing)
    assert found.price_per_transaction == pytest.approx(0.01)
    assert found.price_per_good_request == pytest.approx(0.02)


HOURLY, BY_TOKEN = Pricing("t", usd_per_hour=3.6), Pricing("t", input_per_1m=1.0, output_per_1m=4.0)


def test_break_even_is_where_an_hour_costs_what_its_tokens_would() -> None:
    # 1,000 tokens in and 250 out cost $0.002 a request; $0.001 a second buys half a request a second
    found = break_even(("own", HOURLY), ("api", 0.002), capacity_per_s=2.0)
    assert found is not None
    assert found.requests_per_s == pytest.approx(0.5)
    assert found.utilisation == pytest.approx(0.25)
    assert found.requests_per_month == pytest.approx(0.5 * 3600 * 730)


def test_there_is_no_break_even_beyond_the_measured_capacity() -> None:
    assert break_even(("own", HOURLY), ("api", 0.002), capacity_per_s=0.4) is None


def test_a_month_takes_as_many_instances_as_the_demand_with_headroom() -> None:
    # 10/s at 2/s each with 20 % kept free: 10 / 1.6 = 6.25, so 7
    found = month_at("own", HOURLY, 10, capacity_per_s=2.0)
    assert (found.deployments, found.usd) == (7, pytest.approx(3.6 * 7 * 730))


def test_a_month_by_the_token_costs_its_tokens() -> None:
    assert month_at("api", BY_TOKEN, 0.5, None, 0.002).usd == pytest.approx(0.001 * 3600 * 730)


def test_a_month_of_an_unmeasured_endpoint_is_unknown() -> None:
    assert month_at("own", HOURLY, 10, None).usd is None


def test_a_month_beyond_what_was_measured_has_no_price() -> None:
    assert month_at("own", HOURLY, 1.5, capacity_per_s=2.0, most=1).usd == pytest.approx(3.6 * 730)
    assert month_at("own", HOURLY, 10, capacity_per_s=2.0, most=1).usd is None


def test_tokens_of_failed_requests_are_in_no_price_per_token() -> None:
    half = Totals(window_s=100, completed=10, tokens_out=2000, tokens_out_failed=1000, tokens_in=200,
                  tokens_in_failed=100, usd_per_hour=3.6)
    found = cost_of(half, HOURLY)
    assert found.price_per_1m_output_tokens == pytest.approx(100.0)  # $0.1 for a thousand tokens
    assert found.price_per_1m_input_tokens == pytest.approx(1000.0)


def test_a_stage_by_the_token_costs_its_waste_too() -> None:
    spend = Spend(useful=1.0, outside=0.5, failed=0.25, cancelled=0.125)
    totals = priced(Totals(window_s=60, completed=10, completed_tokens_out=1e6), BY_TOKEN, spend)
    found = cost_of(totals, BY_TOKEN, 60, spend)
    assert (found.stage_usd, found.price_per_1m_output_tokens) == (1.875, 1.0)
    assert (found.outside_usd, found.failed_usd, found.cancelled_usd) == (0.5, 0.25, 0.125)


def test_hours_around_the_window_are_waste() -> None:
    assert cost_of(Totals(window_s=60, usd_per_hour=3.6), HOURLY, stage_s=100).outside_usd == pytest.approx(0.04)
