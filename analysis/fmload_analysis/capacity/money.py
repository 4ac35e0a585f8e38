"""What a fleet costs a month (730 h), and what the same requests would cost by the token."""

from __future__ import annotations

from dataclasses import dataclass

from fmload.pricing.resolve import Price, Pricing, Terms, Unpriced, resolve
from fmload.pricing.spend import usd_of_tokens
from fmload.pricing.table import PriceTable
from fmload_analysis.capacity.demand import Demand
from fmload_analysis.verdict.cost import HOURS_PER_MONTH


@dataclass(frozen=True, slots=True)
class ByToken:
    """The same demand paid by the token; `usd_per_month` None: no price is known, for `reason`."""

    name: str
    usd_per_month: float | None
    source: str
    reason: str = ""


def requests_per_month(demand: Demand) -> float:
    """Requests in 730 hours of the demand."""
    return demand.mean_per_s * 3600 * HOURS_PER_MONTH


def month_usd(replicas: float | None, usd_per_hour: float | None) -> float | None:
    """So many replicas for 730 hours; None where their number or price is not known."""
    return None if replicas is None or usd_per_hour is None else replicas * usd_per_hour * HOURS_PER_MONTH


def by_model(model: str, region: str | None, demand: Demand, table: PriceTable) -> ByToken:
    """The demand by the token prices of a model of the price table."""
    return by_pricing(model, resolve(Terms(price=Price(model=model, region=region)), table), demand)


def by_pricing(name: str, found: Pricing | Unpriced, demand: Demand) -> ByToken:
    """The demand by a price; the mean over its lengths, nothing cached. No price where more than tokens decides it."""
    if isinstance(found, Unpriced):
        return ByToken(name, None, "", str(found))
    reason = _not_by_tokens(found) or ("" if demand.inputs.any() else _UNCOUNTED)
    if reason:
        return ByToken(name, None, found.source, reason)
    each = float(usd_of_tokens(found, demand.inputs, demand.outputs).mean())
    return ByToken(name, each * requests_per_month(demand), found.source)


_UNCOUNTED = "no prompt of the run was counted; give lengths in the demand file"
_UNITS = {"per_audio_minute": "minute of sound", "per_1m_characters": "character", "per_image": "image",
          "per_1k_searches": "search"}


def _not_by_tokens(found: Pricing) -> str:
    """Why lengths in tokens do not tell what a request costs; empty where they do."""
    if not found.by_token:
        return "it is paid by the hour"
    units = [unit for key, unit in _UNITS.items() if getattr(found, key) is not None]
    if units:
        return f"it is paid by the {' and the '.join(units)}, and a demand tells tokens alone"
    if found.of_tenants:
        return f"the price of {', '.join(found.of_tenants)} is another, and a demand does not tell whose a request is"
    return ""
