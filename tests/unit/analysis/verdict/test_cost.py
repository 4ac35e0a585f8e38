"""Prices looked up, months and break-evens: figures worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload.config.schema import PriceSpec
from fmload.metrics.definitions import Totals
from fmload.pricing.table import PriceTable, accelerators_of, load_prices
from fmload_analysis.run import MeasuredEndpoint
from fmload_analysis.verdict.cost import Cost, Pricing, break_even, cost_of, month_at, pricing_of, usd_of_tokens


@pytest.fixture(scope="module")
def prices() -> PriceTable:
    return load_prices()


def endpoint(**price: object) -> MeasuredEndpoint:
    return MeasuredEndpoint("a", PriceSpec.model_validate(price))


def test_instance_type_is_looked_up_with_its_date_and_source(prices: PriceTable) -> None:
    found = pricing_of(endpoint(instance_type="inf2.xlarge", count=3), prices, "us-east-1")
    assert found is not None
    assert (found.usd_per_hour, found.count, found.date) == (pytest.approx(3 * 0.7582), 3, "2026-07-20")
    assert "Price List" in found.source


@pytest.mark.parametrize("name", [
    "ml.inf2.48xlarge", "ml.trn1.32xlarge", "ml.g5.xlarge", "ml.g6e.48xlarge", "g6.xlarge", "p5.48xlarge",
    "p4d.24xlarge", "trn1.32xlarge", "ml.p4d.24xlarge", "g6e.xlarge"])
def test_the_shipped_table_knows_the_usual_types(prices: PriceTable, name: str) -> None:
    assert prices.hourly(name, "us-east-1") is not None


def test_a_price_of_another_region_is_not_used(prices: PriceTable) -> None:
    assert pricing_of(endpoint(instance_type="inf2.xlarge"), prices, "eu-west-1") is None


def test_a_purchase_option_that_the_table_lacks_is_unknown(prices: PriceTable) -> None:
    assert pricing_of(endpoint(instance_type="inf2.xlarge", purchase="spot"), prices, "us-east-1") is None


def test_unknown_prices_are_none_everywhere() -> None:
    assert cost_of(Totals(window_s=60, completed=10, tokens_out=100), None) == Cost()


def test_the_run_files_price_goes_before_the_table(prices: PriceTable) -> None:
    found = pricing_of(endpoint(instance_type="inf2.xlarge", hourly=0.5, count=2), prices, "us-east-1")
    assert found is not None
    assert (found.usd_per_hour, found.source) == (1.0, "the run file")


def test_a_geographic_profile_has_its_own_price_and_a_global_one_the_models(prices: PriceTable) -> None:
    plain = prices.tokens("anthropic.claude-haiku-4-5-20251001-v1:0")
    geographic = prices.tokens("us.anthropic.claude-haiku-4-5-20251001-v1:0")
    worldwide = prices.tokens("global.anthropic.claude-haiku-4-5-20251001-v1:0")
    assert plain is not None and geographic is not None and worldwide is not None
    assert (plain.input_per_1m, geographic.input_per_1m, worldwide.input_per_1m) == (1.0, 1.1, 1.0)
    assert plain.note == "third-party table"


def test_a_tier_that_the_table_lacks_is_unknown(prices: PriceTable) -> None:
    assert prices.tokens("amazon.nova-lite-v1:0", tier="flex") is None


def test_tiers_of_an_own_table_are_priced(tmp_path: Path) -> None:
    own = tmp_path / "own.yml"
    own.write_text("tokens:\n- {source: mine, date: 2026-01-01, prices: {m: {input: 1, output: 2, "
                   "tiers: {flex: {input: 0.5, output: 1}}}}}\n")
    quote = load_prices(own).tokens("m", "flex")
    assert quote is not None
    assert (quote.input_per_1m, quote.output_per_1m, quote.source) == (0.5, 1.0, "mine")


@pytest.mark.parametrize(("text", "wrong"), [
    ("instances:\n- {source: x, date: 2026-01-01, prices: {}}\n", "lacks region"), ("[]", "not a price table"),
    ("instances: [", "cannot read")])
def test_a_bad_table_is_an_error_that_names_the_file(tmp_path: Path, text: str, wrong: str) -> None:
    own = tmp_path / "own.yml"
    own.write_text(text)
    with pytest.raises(FmloadError, match=wrong) as caught:
        load_prices(own)
    assert "own.yml" in str(caught.value)


def test_accelerators_of_sagemaker_types_are_those_of_their_ec2_kin() -> None:
    assert accelerators_of("inf2.48xlarge") == 12
    assert accelerators_of("ml.g5.12xlarge") == 4
    assert accelerators_of("m5.large") is None


def test_cached_tokens_cost_the_input_price_where_no_other_is_known() -> None:
    assert usd_of_tokens(Pricing("t", input_per_1m=2, output_per_1m=10), 1e6, 1e6, 5e5) == 12


def test_price_of_a_good_request_shares_out_the_others() -> None:
    pricing = Pricing("t", usd_per_hour=3.6)
    found = cost_of(Totals(window_s=100, completed=10, good=5, usd_per_hour=3.6), pricing)
    assert found.price_per_transaction == pytest.approx(0.01)
    assert found.price_per_good_request == pytest.approx(0.02)


HOURLY, BY_TOKEN = Pricing("t", usd_per_hour=3.6), Pricing("t", input_per_1m=1.0, output_per_1m=4.0)


def test_break_even_is_where_an_hour_costs_what_its_tokens_would() -> None:
    # 1,000 tokens in and 250 out cost $0.002 a request; $0.001 a second buys half a request a second
    found = break_even(("own", HOURLY), ("api", BY_TOKEN), 1000, 250, capacity_per_s=2.0)
    assert found is not None
    assert found.requests_per_s == pytest.approx(0.5)
    assert found.utilisation == pytest.approx(0.25)
    assert found.requests_per_month == pytest.approx(0.5 * 3600 * 730)


def test_there_is_no_break_even_beyond_the_measured_capacity() -> None:
    assert break_even(("own", HOURLY), ("api", BY_TOKEN), 1000, 250, capacity_per_s=0.4) is None


def test_a_month_takes_as_many_instances_as_the_demand_with_headroom() -> None:
    # 10/s at 2/s each with 20 % kept free: 10 / 1.6 = 6.25, so 7
    found = month_at("own", HOURLY, 10, capacity_per_s=2.0)
    assert (found.deployments, found.usd) == (7, pytest.approx(3.6 * 7 * 730))


def test_a_month_by_the_token_costs_its_tokens() -> None:
    assert month_at("api", BY_TOKEN, 0.5, None, 1000, 250).usd == pytest.approx(0.001 * 3600 * 730)


def test_a_month_of_an_unmeasured_endpoint_is_unknown() -> None:
    assert month_at("own", HOURLY, 10, None).usd is None
