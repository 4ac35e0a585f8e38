"""What an instance costs by the hour, for plans: looked up in the dated table, never guessed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fmload.config.schema import PriceSpec
from fmload.pricing.resolve import Price, Terms, Unpriced, resolve
from fmload.pricing.table import PriceTable, load_prices
from fmload_deploy.base import Context


def hourly_usd(context: Context, instance_type: str, count: int, purchase: str = "on_demand",
               said: PriceSpec | None = None, region: str | None = None) -> float | None:
    """USD per hour of `count` instances; None when neither the run file nor the table knows the price."""
    price = Price(instance_type=instance_type, count=count, purchase=purchase,
                      hourly=None if said is None else said.hourly)
    found = resolve(Terms(price, served_from=region or context.region), _table(context.prices))
    return None if isinstance(found, Unpriced) else found.usd_per_hour


@cache
def _table(own: Path | None) -> PriceTable:
    return load_prices(own)


def instance_price(instance_type: str, count: int, region: str | None, purchase: str = "on_demand") -> dict[str, Any]:
    """The endpoint's `price`, as the run file would have it."""
    given = {"instance_type": instance_type, "count": count, "region": region, "purchase": purchase}
    return {key: value for key, value in given.items() if value is not None}
