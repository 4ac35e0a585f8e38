"""What an instance costs by the hour, for plans: looked up in the dated table, never guessed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fmload.config.schema import PriceSpec
from fmload.pricing.table import PriceTable, load_prices
from fmload_deploy.base import Context


def hourly_usd(context: Context, instance_type: str, count: int, purchase: str = "on_demand",
               said: PriceSpec | None = None, region: str | None = None) -> float | None:
    """USD per hour of `count` instances; None when neither the run file nor the table knows the price."""
    if said is not None and said.hourly is not None:
        return said.hourly * count
    quote = _table(context.prices).hourly(instance_type, region or context.region, purchase)
    return None if quote is None else quote.usd * count


@cache
def _table(own: Path | None) -> PriceTable:
    return load_prices(own)


def instance_price(instance_type: str, count: int, region: str | None, purchase: str = "on_demand") -> dict[str, Any]:
    """The endpoint's `price`, as the run file would have it."""
    given = {"instance_type": instance_type, "count": count, "region": region, "purchase": purchase}
    return {key: value for key, value in given.items() if value is not None}
