"""What the tokens of tenants cost, where another model or service tier gives them another price than their endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fmload.config.tenants import priced_as
from fmload.pricing.resolve import Pricing, Unpriced, resolve, terms_of
from fmload.pricing.table import PriceTable

_NO_PRICE_OF_TIER = Unpriced(
    "the endpoint's price in numbers is not that of the tenant's service tier",
    "give the tenant one: price: {input_per_1m: …, output_per_1m: …}")


def tenant_prices(entry: Mapping[str, Any], tenants: Iterable[Mapping[str, Any]], of_endpoint: Pricing | Unpriced,
                  table: PriceTable, region: str | None = None) -> dict[str, Pricing | Unpriced]:
    """By name, the prices of tenants that are not their endpoint's, or why one is not known; none where the endpoint is
    paid by the hour, or its own price is unknown. Entries are those of a run file, `region` the run's."""
    if isinstance(of_endpoint, Unpriced) or not of_endpoint.by_token:
        return {}
    found: dict[str, Pricing | Unpriced] = {}
    for tenant in tenants:
        own = priced_as(entry, tenant)
        price = _NO_PRICE_OF_TIER if own is None else resolve(terms_of(own, region), table)
        if price != of_endpoint:
            found[str(tenant["name"])] = price
    return found
