"""The price table: every row has a source and a date, another region is another price, and bad files are told."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from fmload.base.errors import FmloadError
from fmload.pricing import aws_price_list, bedrock_price_list, table
from fmload.pricing.resolve import Pricing, Unpriced, resolve, terms_of
from fmload.pricing.table import PriceTable, accelerators_of, load_prices

REGIONS = ("us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1", "ap-southeast-1",
           "ap-southeast-2", "ap-south-1")


@pytest.fixture(scope="module")
def prices() -> PriceTable:
    return load_prices()


@pytest.mark.parametrize("name", [
    "ml.inf2.48xlarge", "ml.trn1.32xlarge", "ml.g5.xlarge", "ml.g6e.48xlarge", "g6.xlarge", "p5.48xlarge",
    "p4d.24xlarge", "trn1.32xlarge", "ml.p4d.24xlarge", "g6e.xlarge", "p5en.48xlarge", "p6-b200.48xlarge",
    "g7e.2xlarge", "ml.p5.4xlarge"])
def test_the_shipped_table_knows_the_usual_types(prices: PriceTable, name: str) -> None:
    assert prices.hourly(name, "us-east-1") is not None


@pytest.mark.parametrize("region", REGIONS)
def test_the_regions_that_people_use_have_prices(prices: PriceTable, region: str) -> None:
    assert prices.hourly("g4dn.xlarge", region) is not None
    assert prices.hourly("inf2.xlarge", region) is not None
    assert prices.hourly("inf2.xlarge", region, "reserved_1yr") is not None


def test_every_group_has_a_source_and_a_date_that_is_past(prices: PriceTable) -> None:
    for group in (*prices.instances, *prices.token_groups):
        assert group["source"] and date(2024, 1, 1) < date.fromisoformat(str(group["date"])) < date(2027, 1, 1)


def test_a_contradicted_row_says_so(prices: PriceTable) -> None:
    quote = prices.hourly("ml.trn1.32xlarge", "us-east-1")
    assert quote is not None and quote.usd == 24.73
    assert quote.note is not None and "28.497" in quote.note


def test_what_a_price_was_before_it_was_cut_stands_behind_what_it_is(prices: PriceTable) -> None:
    known = [(quote.usd, quote.date) for quote in prices
             if (quote.instance_type, quote.region, quote.purchase) == ("p4d.24xlarge", "us-east-1", "on_demand")]
    assert known == [(21.957642, "2026-07-20"), (32.7726, "2025-04-11")]


def test_tiers_of_an_own_table_are_priced_wherever_the_model_is_called(tmp_path: Path) -> None:
    own = tmp_path / "own.yml"
    own.write_text("tokens:\n- {source: mine, date: 2026-01-01, prices: {m: {input: 1, output: 2, "
                   "tiers: {flex: {input: 0.5, output: 1}}}}}\n")
    for region in (None, "eu-west-1"):
        quote = load_prices(own).tokens("m", "flex", region)
        assert quote is not None
        assert (quote.input_per_1m, quote.output_per_1m, quote.source) == (0.5, 1.0, "mine")


@pytest.mark.parametrize(("text", "wrong"), [
    ("instances:\n- {source: x, date: 2026-01-01, prices: {}}\n", "lacks region"), ("[]", "not a price table"),
    ("instances: [", "cannot read"),
    ("instances:\n- {source: x, date: 2026-01-01, region: r, prices: {a: cheap}}\n", "a: 'cheap' is no price"),
    ("tokens:\n- {source: x, date: 2026-01-01, prices: {a: 3}}\n", "a: '3' is no price")])
def test_a_bad_table_is_an_error_that_names_the_file(tmp_path: Path, text: str, wrong: str) -> None:
    own = tmp_path / "own.yml"
    own.write_text(text)
    with pytest.raises(FmloadError, match=wrong) as caught:
        load_prices(own)
    assert "own.yml" in str(caught.value)


INSTANCES = "instances:\n- {source: x, date: %s, region: r, %s prices: {%s}}\n"
TOKENS = "tokens:\n- {source: x, date: 2026-01-01, prices: {m: {input: 1, output: 2, %s}}}\n"


@pytest.mark.parametrize(("text", "wrong"), [
    (INSTANCES % ("yesterday", "", "a: 1"), "'yesterday' is no date"),
    (INSTANCES % ("2026-01-01", "unit: USD/month,", "a: 1"), "USD/month' is not read"),
    (INSTANCES % ("2026-01-01", "purchase: [spot],", "a: 1"), "is no text"),
    (INSTANCES % ("2026-01-01", "", "a: 1, b: 3, a: 2"), "line 2: 'a' stands there twice"),
    (INSTANCES % ("2026-01-01", "purchas: spot,", "a: 1"), "'purchas' is not known"),
    (INSTANCES.replace("region: r", "region: null") % ("2026-01-01", "", "a: 1"), "lacks region"),
    (INSTANCES % ("2026-01-01", "", "a: .nan"), "'nan' is no price"), ("instance: []\n", "'instance' is not known"),
    ("schema: 9\n", "schema 9 is of another version"), ("instances: {a: b}\n", "no list"),
    (TOKENS % "tiers: {flex: {input: -1, output: 1}}", "tiers: flex: input: '-1' is no price"),
    (TOKENS % "above: {100: {input: 1}}", "above: 100 lacks output"),
    (TOKENS % "above: {long: {input: 1, output: 2}}", "'long' is no number of tokens"),
    (TOKENS % "latency: {optimized: {input: .inf, output: 2}}", "'inf' is no price"),
    (TOKENS % "cached: 0.1", "'cached' is not known"), (TOKENS % "tiers: [flex]", "tiers is no mapping"),
    (TOKENS.replace("prices", "unit: USD per 1k tokens, prices") % "", "USD per 1k tokens' is not read"),
    (TOKENS.replace("output: 2, ", "") % "", "m lacks output")])
def test_nothing_in_a_table_is_misread_or_passed_over(tmp_path: Path, text: str, wrong: str) -> None:
    own = tmp_path / "own.yml"
    own.write_text(text)
    with pytest.raises(FmloadError, match=wrong):
        load_prices(own)


@pytest.mark.parametrize("name", ["ml.p5e.48xlarge", "ml.p5en.48xlarge", "ml.p6-b200.48xlarge", "ml.trn2.48xlarge"])
def test_what_no_public_table_has_is_not_made_up(prices: PriceTable, name: str) -> None:
    assert prices.regions_of(name) == []
    found = resolve(terms_of({"protocol": "sagemaker", "price": {"instance_type": name}}, "us-east-1"), prices)
    assert isinstance(found, Unpriced) and f"--types {name}" in found.remedy


def test_a_bedrock_model_that_no_public_table_has_is_not_made_up(prices: PriceTable) -> None:
    found = resolve(terms_of({"protocol": "bedrock", "model": "maker.no-such-model-v1:0"}, "us-east-1"), prices)
    assert isinstance(found, Unpriced) and "--types bedrock" in found.remedy


def test_a_tier_that_the_api_knows_by_half_is_told_and_what_is_written_can_be_read(tmp_path: Path) -> None:
    def offer(count: str, usd: float) -> str:
        dimension = {"unit": "1M tokens", "pricePerUnit": {"USD": str(usd)}}
        return json.dumps({"product": {"attributes": {"model": "M", "inferenceType": count}},
                           "terms": {"OnDemand": {"t": {"priceDimensions": {"d": dimension}}}}})
    offers = [offer("Input tokens", 1), offer("Output tokens", 2), offer("Input tokens flex", 0.5),
              offer("Input tokens batch", 0.5), offer("Output tokens batch", 1)]
    pages = [[{"PriceList": offers}], [{"PriceList": []}]]
    api: Any = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: pages.pop(0)))
    found = bedrock_price_list.fetch(api, {"m": ["maker.m"]}, "us-east-1")
    assert found.told == ["maker.m: tier flex has no price of output tokens"]
    aws_price_list.write_table(tmp_path / "own.yml", aws_price_list.as_table({}, "us-east-1", date.today(), found.rows))
    table = load_prices(tmp_path / "own.yml")
    assert table.tokens("maker.m", "flex", "us-east-1") is None and table.tokens("maker.m", "batch", "us-east-1")


def test_ml_trn1_is_not_priced_as_trn1n(prices: PriceTable) -> None:
    quote, older = prices.hourly("ml.trn1.32xlarge", "us-east-1"), prices.hourly("trn1n.32xlarge", "us-east-1")
    assert quote is not None and older is not None
    assert quote.usd == pytest.approx(24.73) and quote.usd < 1.1 * older.usd
    assert "28.497" in (quote.note or "")


def test_accelerators_of_sagemaker_types_are_those_of_their_ec2_kin() -> None:
    assert accelerators_of("inf2.48xlarge") == 12
    assert accelerators_of("ml.g5.12xlarge") == 4
    assert accelerators_of("m5.large") is None


def test_the_shipped_table_is_read_when_a_price_is_looked_for_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = Mock(return_value={"instances": [GROUP]})
    monkeypatch.setattr(table, "_shipped", shipped)
    for entry in ({"price": {"hourly": 0}}, {"url": "http://10.0.0.5/v1"}):
        resolve(terms_of(entry), load_prices())
    assert not shipped.called
    price = resolve(terms_of({"price": {"instance_type": "ml.x"}}), load_prices())
    assert isinstance(price, Pricing) and price.usd_per_hour == 2.0 and shipped.called


GROUP = {"region": "us-east-1", "date": "2026-01-01", "source": "of a test", "prices": {"ml.x": 2.0}}
