from __future__ import annotations

import pytest

from fmload.config.schema import PriceSpec
from fmload.locust.webui.cost import cost_of
from fmload.pricing.table import load_prices


def _cost(served_s: float = 0, input_tokens: int = 0, output_tokens: int = 0, **price: object) -> float | None:
    cost = cost_of(PriceSpec.model_validate(price), load_prices(), "us-east-1")
    return None if cost is None else cost(served_s, input_tokens, output_tokens)


def test_an_hourly_endpoint_costs_by_the_time_it_serves_and_the_number_of_instances() -> None:
    assert _cost(1800, 10**9, 10**9, hourly=2.0, count=3) == pytest.approx(3.0)


def test_an_instance_type_costs_what_the_price_table_says() -> None:
    assert _cost(3600, instance_type="g5.2xlarge") == pytest.approx(1.212)


def test_a_token_priced_endpoint_costs_by_its_tokens() -> None:
    assert _cost(3600, 2_000_000, 1_000_000, input_per_1m=3.0, output_per_1m=15.0) == pytest.approx(21.0)


def test_an_unknown_price_is_no_cost_at_all_rather_than_zero() -> None:
    assert _cost(3600, instance_type="no.such") is None
