"""Tenants in the run file: what is refused, what they change of an endpoint, and secrets that stay names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.config import dumping, secrets
from fmload.config.loading import parse
from fmload.config.schema import RunFile
from fmload.config.tenants import as_tenant, priced_as
from fmload.plan.estimate import prices_of, require_prices
from fmload.pricing.resolve import Pricing, Unpriced
from fmload.pricing.table import load_prices

BEDROCK = {"protocol": "bedrock", "model": "amazon.nova-pro-v1:0"}
TEXT = """
name: t
endpoints: [{{name: e, {endpoint}}}]
prompts: [{{name: p, source: synthetic, input_tokens: 20{drawn}}}]
tenants: [{tenants}]
load: {{{load}}}
"""


def read(tenants: str, endpoint: str = "protocol: openai, url: 'http://h:1/v1'", drawn: str = "",
         load: str = "concurrency: [2]") -> RunFile:
    return parse(TEXT.format(tenants=tenants, endpoint=endpoint, drawn=f", tenants: {drawn}" if drawn else "",
                             load=load), "run.yml", Path())


@pytest.mark.parametrize(("wrong", "told"), [
    ({"tenants": "{name: a}, {name: a}"}, "'a' names an earlier entry too"),
    ({"tenants": "{name: gold}", "drawn": "glod"}, "prompts[0].tenants: no tenant of this run is named 'glod'; did "
                                                   "you mean 'gold'?"),
    ({"tenants": "{name: a}", "drawn": "{a: 0}"}, "above 0"),
    ({"tenants": "{name: a}", "drawn": "{}"}, "prompts[0].tenants"),
    ({"tenants": "{name: a}", "load": "concurrency: [2], mix: [{endpoint: e, prompts: p, tenant: b}]"},
     "load.mix[0].tenant: no tenant"),
    ({"tenants": "{name: a, objectives: {itl_p95: 1s}}"}, "is a limit on tokens, which are not told apart by tenant"),
    ({"tenants": "{name: a, objectives: {nonsense: 1s}}"}, "unknown metric 'nonsense'"),
    ({"tenants": "{name: a, objectives: {ttft_p95: 1s}}", "load": "find: {over: concurrency, objective: {ttft_p95: "
                                                                  "1s}}"}, "a search goes by the objectives of all"),
    ({"tenants": "{name: a, headers: {'X-T': \"a\\nb\"}}"}, "holds a line break"),
    ({"tenants": "{name: 'a b'}"}, "tenants[0].name"),
    ({"tenants": "{name: a, priority: 1, parameters: {priority: 2}}"}, "stands beside 'priority'"),
    ({"tenants": "{name: a, price: {hourly: 1}}"}, "a tenant's price is that of its tokens"),
    ({"tenants": "{name: a, priority: 1}", "endpoint": "protocol: bedrock, model: amazon.nova-pro-v1:0"},
     "takes no priority"),
])
def test_what_cannot_be_is_refused_with_its_key(wrong: dict[str, str], told: str) -> None:
    with pytest.raises(FmloadError) as error:
        read(**wrong)
    assert told in str(error.value)


def test_a_resolved_run_file_loads_again(tmp_path: Path) -> None:
    run = read("{name: a, priority: 3, service_tier: flex, price: {input_per_1m: 1, output_per_1m: 2}}", drawn="a")
    assert parse(dumping.dump(run), "run.yml", tmp_path).tenants == run.tenants


def test_a_tenant_is_its_endpoint_with_what_it_says_over_it() -> None:
    entry: dict[str, Any] = {"protocol": "openai", "model": "base", "headers": {"x-team": "all", "B": "b"},
                             "parameters": {"temperature": 1, "top_p": 0.5}}
    changed = as_tenant(entry, {"model": "lora", "headers": {"X-Team": "gold"}, "parameters": {"temperature": 0},
                                "priority": 0, "service_tier": "flex"})
    assert changed == {"protocol": "openai", "model": "lora", "headers": {"B": "b", "X-Team": "gold"},
                       "parameters": {"temperature": 0, "top_p": 0.5, "priority": 0, "service_tier": "flex"}}
    assert entry["model"] == "base"
    assert as_tenant(dict(BEDROCK), {"service_tier": "flex"})["service_tier"] == "flex"  # a key of that protocol's own


def test_a_headers_secret_is_in_no_file_and_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    written = read("{name: a, headers: {Authorization: 'Bearer secret-of-gold-12345'}}")
    assert "secret-of-gold" not in dumping.dump(written)
    lifted, variables = secrets.lift(written)
    assert "secret-of-gold" not in str(lifted.model_dump(mode="json"))
    assert "Bearer secret-of-gold-12345" in variables.values()
    with pytest.raises(FmloadError, match=r"tenant 'a': headers\.Authorization") as error:
        secrets.refuse_inline_secrets(written)
    assert "secret-of-gold" not in str(error.value)
    monkeypatch.delenv("GOLD_KEY", raising=False)
    absent = [tenant.model_dump() for tenant in read("{name: a, headers: {X: '${GOLD_KEY}'}}").tenants]
    assert list(secrets.missing(absent, "tenants")) == [(("tenants", 0, "headers", "X"), "GOLD_KEY")]


def test_a_price_in_numbers_is_not_used_for_another_tier() -> None:
    entry = {"protocol": "openai", "price": {"input_per_1m": 1.0, "output_per_1m": 2.0}}
    assert priced_as(entry, {"service_tier": "priority"}) is None
    own = priced_as(entry, {"service_tier": "priority", "price": {"input_per_1m": 3.0, "output_per_1m": 4.0}})
    assert own is not None
    assert own["price"]["output_per_1m"] == 4.0
    assert priced_as({**entry, "parameters": {"service_tier": "priority"}}, {"service_tier": "priority"}) is not None


def test_a_tenants_tier_has_the_tables_price_of_that_tier() -> None:
    table = load_prices()
    found = prices_of(read("{name: a, service_tier: flex}, {name: b}",
                           "protocol: bedrock, region: us-east-1, model: amazon.nova-pro-v1:0"), table)["e"]
    assert isinstance(found, Pricing)
    flex = found.of("a")
    assert isinstance(flex, Pricing)
    assert flex.tier == "flex"
    assert (flex.output_per_1m or 0) < (found.output_per_1m or 0)
    assert found.of("b") is found


def test_a_limit_of_cost_needs_the_price_of_every_tenant() -> None:
    run = read("{name: gold, service_tier: priority}", "protocol: openai, url: 'http://h:1/v1', price: "
               "{input_per_1m: 1, output_per_1m: 2}").model_copy(update={"max_cost": 5.0})
    prices = prices_of(run, load_prices())
    assert isinstance(prices["e"], Pricing)
    assert isinstance(prices["e"].of("gold"), Unpriced)
    with pytest.raises(FmloadError, match="tenant 'gold' of endpoint 'e': max_cost is 5 USD"):
        require_prices(run, prices)
