"""One rule for every price: what is given goes first, nothing is borrowed, and unknown has a reason and a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from fmload.pricing.resolve import Pricing, Unpriced, options_of, resolve, terms_of
from fmload.pricing.spend import usd_of_tokens
from fmload.pricing.table import PriceTable, load_prices

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return load_prices()


def of(table: PriceTable, region: str | None = "us-east-1", **entry: Any) -> Pricing | Unpriced:
    return resolve(terms_of({"name": "e", **entry}, region), table)


def priced(table: PriceTable, region: str | None = "us-east-1", **entry: Any) -> Pricing:
    found = of(table, region, **entry)
    assert isinstance(found, Pricing), found
    return found


def unpriced(table: PriceTable, region: str | None = "us-east-1", **entry: Any) -> Unpriced:
    found = of(table, region, **entry)
    assert isinstance(found, Unpriced), found
    assert found.remedy
    return found


@pytest.mark.parametrize(("price", "usd_per_hour", "output_per_1m"), [
    ({"hourly": 0.5, "count": 2, "instance_type": "inf2.xlarge", "input_per_1m": 1, "output_per_1m": 2}, 1.0, None),
    ({"instance_type": "inf2.xlarge", "input_per_1m": 1, "output_per_1m": 2}, None, 2),
    ({"instance_type": "inf2.xlarge", "count": 3}, 3 * 0.7582, None),
    ({"model": "amazon.nova-lite-v1:0"}, None, 0.24)])
def test_what_is_given_in_numbers_goes_before_what_is_looked_up(
        table: PriceTable, price: dict[str, Any], usd_per_hour: float | None, output_per_1m: float | None) -> None:
    found = priced(table, price=price)
    assert (found.usd_per_hour, found.output_per_1m) == (
        usd_per_hour and pytest.approx(usd_per_hour), output_per_1m)


@pytest.mark.parametrize(("entry", "usd_per_hour"), [
    ({"deploy": {"instance_type": "ml.inf2.xlarge", "instance_count": 3}}, 3 * 0.99),
    ({"instance_type": "g5.xlarge"}, 1.006), ({"price": {"count": 2}, "instance_type": "g5.xlarge"}, 2.012)])
def test_an_endpoint_without_a_price_of_its_own_costs_what_it_runs_on(
        table: PriceTable, entry: dict[str, Any], usd_per_hour: float) -> None:
    assert priced(table, **entry).usd_per_hour == pytest.approx(usd_per_hour)


@pytest.mark.parametrize("price", [{"hourly": 2.0}, {"region": "us-east-1"}, {"instance_type": "ml.inf2.xlarge"},
                                   {"purchase": "on_demand"}])
def test_a_price_that_says_no_count_is_of_all_that_is_deployed(table: PriceTable, price: dict[str, Any]) -> None:
    deploy = {"target": "sagemaker", "instance_type": "ml.inf2.xlarge", "instance_count": 3}
    assert priced(table, deploy=deploy, price=price).usd_per_hour == pytest.approx(3 * price.get("hourly", 0.99))
    assert priced(table, deploy=deploy, price={**price, "count": 2}).count == 2


def test_spot_nodes_have_a_spot_price_or_none(table: PriceTable) -> None:
    group = {"instance_type": "g5.xlarge", "count": 2}
    assert priced(table, deploy={"target": "eks", "node_group": group}).usd_per_hour == pytest.approx(2 * 1.006)
    spot = {"target": "eks", "node_group": {**group, "capacity": "SPOT"}}
    assert "spot" in unpriced(table, deploy=spot).reason
    assert "spot" in unpriced(table, deploy=spot, price={"instance_type": "g5.xlarge"}).reason


@pytest.mark.parametrize("entry", [
    {"protocol": "sagemaker", "price": {"instance_type": "inf2.xlarge"}},
    {"protocol": "sagemaker", "instance_type": "inf2.xlarge"},
    {"protocol": "openai", "url": "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/e/openai/v1",
     "price": {"instance_type": "inf2.xlarge"}}])
def test_sagemaker_is_not_priced_as_ec2(table: PriceTable, entry: dict[str, Any]) -> None:
    assert "ml.inf2.xlarge" in unpriced(table, **entry).remedy


def test_no_remedy_sends_for_what_is_not_sold(table: PriceTable) -> None:
    hosted = unpriced(table, protocol="sagemaker", price={"instance_type": "ml.g5.xlarge", "purchase": "spot"})
    assert "no spot instances" in hosted.reason and "refresh" not in hosted.remedy
    units = unpriced(table, protocol="bedrock", model=HAIKU, price={"purchase": "spot"})
    assert "refresh" not in units.remedy
    assert "write ml.g5.xlarge;" in unpriced(table, protocol="sagemaker", instance_type="ML.G5.XLARGE").remedy


def test_several_addresses_have_the_price_of_their_region(table: PriceTable) -> None:
    url = "https://bedrock-runtime.{}.amazonaws.com/openai/v1"
    entry = {"protocol": "openai", "model": "openai.gpt-oss-20b-1:0", "price": {"tier": "default"}}
    west = unpriced(table, **entry, urls=[url.format("us-west-2")])
    assert "in us-west-2" in west.reason
    both = unpriced(table, **entry, urls=[url.format("us-east-1"), url.format("us-west-2")])
    assert "us-east-1 and us-west-2" in both.reason
    assert priced(table, "eu-west-1", **entry, urls=[url.format("us-east-1")]).region == "us-east-1"


@pytest.mark.parametrize("key", ["cached_input_per_1m", "cache_write_per_1m", "cache_write_1h_per_1m"])
def test_one_price_of_the_cache_is_not_mixed_with_those_of_the_table(table: PriceTable, key: str) -> None:
    assert "input_per_1m" in unpriced(table, protocol="bedrock", model=HAIKU, price={key: 0.1}).reason


def test_a_bedrock_endpoint_costs_its_model_whatever_api_it_is_called_by(table: PriceTable) -> None:
    assert priced(table, protocol="bedrock", model=HAIKU).output_per_1m == 5.0
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1"
    assert priced(table, protocol="openai", url=url, model="openai.gpt-oss-20b-1:0").output_per_1m == 0.3
    mantle = "https://bedrock-mantle.us-east-1.api.aws/v1"
    assert priced(table, protocol="openai", url=mantle, model="openai.gpt-oss-20b").output_per_1m == 0.3


def test_the_region_of_the_address_or_of_an_arn_goes_before_the_runs(table: PriceTable) -> None:
    url = "https://bedrock-runtime.eu-west-2.amazonaws.com/openai/v1"
    assert "eu-west-2" in unpriced(table, protocol="openai", url=url, model=HAIKU).reason
    arn = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{HAIKU}"
    assert priced(table, "eu-central-1", protocol="bedrock", model=arn).output_per_1m == 5.5
    assert "provisioned-model" in unpriced(table, protocol="bedrock", model=(
        "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc")).reason


@pytest.mark.parametrize("region", ["eu-central-1", "ap-southeast-3", "me-south-1"])
def test_the_price_of_another_region_is_never_used(table: PriceTable, region: str) -> None:
    found = unpriced(table, region, protocol="bedrock", model=HAIKU)
    assert region in found.reason and "us-east-1" in found.reason
    assert f"--region {region}" in found.remedy


def test_a_region_with_prices_of_its_own_has_them_under_its_own_label(table: PriceTable) -> None:
    here = priced(table, protocol="bedrock", model="meta.llama3-8b-instruct-v1:0")
    there = priced(table, "sa-east-1", protocol="bedrock", model="meta.llama3-8b-instruct-v1:0")
    assert (there.region, here.region) == ("sa-east-1", "us-east-1")
    assert there.output_per_1m != here.output_per_1m


def test_a_profile_has_its_own_price_or_none(table: PriceTable) -> None:
    assert priced(table, protocol="bedrock", model=f"us.{HAIKU}").input_per_1m == 1.1
    assert priced(table, protocol="bedrock", model=f"global.{HAIKU}").input_per_1m == 1.0
    for profile in ("jp", "us-gov"):
        found = unpriced(table, protocol="bedrock", model=f"{profile}.anthropic.claude-opus-4-6-v1")
        assert f"({profile}.) has a price of its own" in found.reason


def test_a_tier_and_a_latency_mode_have_their_own_price_or_none(table: PriceTable) -> None:
    pro = {"protocol": "bedrock", "model": "amazon.nova-pro-v1:0"}
    usual, flex = priced(table, **pro), priced(table, **pro, service_tier="flex")
    priority = priced(table, **pro, price={"tier": "priority"})
    assert (usual.output_per_1m, flex.output_per_1m, priority.output_per_1m) == (3.2, 1.6, 5.6)
    assert flex.tier == "flex" and flex.cached_input_per_1m == 0.1
    assert "tier reserved" in unpriced(table, **pro, service_tier="reserved").reason
    assert "optimized latency" in unpriced(table, **pro, latency="optimized").reason
    assert priced(table, **pro, latency="standard", service_tier="default") == usual


def test_one_token_price_without_the_other_is_no_price(table: PriceTable) -> None:
    assert "output_per_1m" in unpriced(table, price={"input_per_1m": 1.0}).reason


def test_nothing_given_is_unknown_and_says_what_to_give(table: PriceTable) -> None:
    assert "instance_type" in unpriced(table, protocol="openai", url="http://h/v1", model="m").remedy
    assert "spot" in unpriced(table, price={"instance_type": "inf2.xlarge", "purchase": "spot"}).reason


def test_provisioned_throughput_costs_by_the_hour_and_model_unit(table: PriceTable) -> None:
    found = priced(table, price={"model": "anthropic.claude-v2:1", "purchase": "provisioned_1_month", "count": 2})
    assert found.usd_per_hour == pytest.approx(2 * 63.0)


REQUEST = {"tokens_in": 10 + 1500 + 500, "tokens_out": 10, "cached": 1500, "written": 500}


@pytest.mark.parametrize(("model", "per_10k"), [(HAIKU, 8.35), (f"us.{HAIKU}", 9.185)])
def test_reads_from_and_writes_to_a_cache_have_their_own_prices(
        table: PriceTable, model: str, per_10k: float) -> None:
    found = priced(table, protocol="bedrock", model=model)
    assert usd_of_tokens(found, **REQUEST) * 1e4 == pytest.approx(per_10k)


def test_what_is_written_for_an_hour_costs_what_that_costs(table: PriceTable) -> None:
    found = priced(table, protocol="bedrock", model=HAIKU)
    assert found.cache_write_1h_per_1m == 2.0
    dearer = usd_of_tokens(found, **REQUEST, written_1h=500) - usd_of_tokens(found, **REQUEST)
    assert dearer == pytest.approx(500 * (2.0 - 1.25) / 1e6)


def test_cached_tokens_cost_the_input_price_where_no_other_is_known() -> None:
    assert usd_of_tokens(Pricing("t", input_per_1m=2, output_per_1m=10), 1e6, 1e6, 5e5) == 12


def test_a_long_request_is_paid_whole_at_the_prices_of_long_ones(table: PriceTable) -> None:
    found = priced(table, protocol="bedrock", model="anthropic.claude-sonnet-4-5-20250929-v1:0")
    assert usd_of_tokens(found, 200_000, 1000) == pytest.approx((200_000 * 3 + 1000 * 15) / 1e6)
    assert usd_of_tokens(found, 200_001, 1000) == pytest.approx((200_001 * 6 + 1000 * 22.5) / 1e6)


def test_the_other_options_are_those_that_the_table_knows(table: PriceTable) -> None:
    model = terms_of({"protocol": "bedrock", "model": "amazon.nova-pro-v1:0", "service_tier": "flex"}, "us-east-1")
    assert set(options_of(model, table)) == {"default", "priority", "batch"}
    hourly = options_of(terms_of({"price": {"instance_type": "g5.xlarge", "count": 2}}, "eu-west-1"), table)
    assert set(hourly) == {"reserved_1yr"} and hourly["reserved_1yr"].count == 2
    assert options_of(terms_of({"price": {"hourly": 1.0}}), table) == {}
