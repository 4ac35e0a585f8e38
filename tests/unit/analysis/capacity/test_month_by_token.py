"""A month by the token: only where the lengths of a demand tell what a request costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engines import measured

from fmload.cli.main import main
from fmload.pricing.resolve import Pricing
from fmload_analysis.capacity.demand import Demand
from fmload_analysis.capacity.money import by_pricing

DEMAND = Demand("1/s", np.array([0.0, 86400.0]), np.array([1.0, 1.0]), np.array([100.0]), np.array([10.0]))
TOKENS = Pricing("t", input_per_1m=1.0, output_per_1m=2.0)


def test_the_month_is_that_of_the_tokens() -> None:
    assert by_pricing("e", TOKENS, DEMAND).usd_per_month == pytest.approx(730 * 3600 * (100 * 1 + 10 * 2) / 1e6)


@pytest.mark.parametrize(("key", "unit"), [
    ("per_1k_searches", "search"), ("per_image", "image"), ("per_audio_minute", "minute of sound"),
    ("per_1m_characters", "character")])
@pytest.mark.parametrize("base", [Pricing("t"), TOKENS])
def test_what_is_not_paid_by_the_token_alone_has_no_month(base: Pricing, key: str, unit: str) -> None:
    found = by_pricing("e", replace(base, **{key: 3.0}), DEMAND)
    assert found.usd_per_month is None
    assert f"by the {unit}" in found.reason


def test_tenants_with_prices_of_their_own_leave_the_month_unknown(tmp_path: Path,
                                                                  capsys: pytest.CaptureFixture[str]) -> None:
    endpoint = {"name": "a", "price": {"input_per_1m": 1, "output_per_1m": 2}}
    tenants = [{"name": "gold", "price": {"input_per_1m": 10, "output_per_1m": 20}}, {"name": "free"}]
    measured(tmp_path / "run", rates=(0.5, 3), window_s=30, endpoints=[endpoint], tenants=tenants)
    assert main(["capacity", str(tmp_path / "run"), "--demand", "3/s"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "the price of gold is another" in told
    assert "$" not in told
