"""The running bill of tenants: each at its own price, and none where one of them is not known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fmload.master.spend import Spend
from fmload.model.record import pack
from fmload.model.stage import Load, Stage
from fmload.pricing.resolve import Pricing, Unpriced
from tests.one_record import record

BASE = Pricing("t", input_per_1m=0.0, output_per_1m=10.0)
STAGE = Stage(0, 0, 0, "e", "p", Load("concurrency", 8), {}, 0, 0, 1, None, 1, status="running", ramp_start_ns=1)


def spent(pricing: Pricing, *tenants: str | None) -> Spend:
    found = Spend({"e": pricing}, [STAGE])
    found.take(pack(replace(record(), tenant=tenant)) for tenant in tenants)
    return found


def test_each_tenant_is_paid_at_its_own_price() -> None:
    dear = replace(BASE, of_tenants={"gold": replace(BASE, output_per_1m=30.0)})
    one = spent(dear, None).usd_for_tokens()
    assert one > 0
    assert spent(dear, "free").usd_for_tokens() == pytest.approx(one)
    assert spent(dear, "gold", None).usd_for_tokens() == pytest.approx(4 * one)


def test_what_a_tenant_costs_that_has_no_price_is_not_told_as_nothing() -> None:
    lacking = replace(BASE, of_tenants={"gold": Unpriced("no tier", "give one")})
    assert spent(lacking, "free").usd_of_stage(STAGE) is not None
    found = spent(lacking, "free", "gold")
    assert found.usd_of_stage(STAGE) is None
    assert found.unpriced()["e"].reason == "no tier"
