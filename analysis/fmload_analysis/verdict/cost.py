"""What a stage costs: hourly or by the token, per transaction, per token, per good request; a month, a break-even.

An unknown price is None, which people read as "n/a".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fmload.metrics import definitions as metrics
from fmload.metrics.definitions import Totals, ratio
from fmload.pricing.table import PriceTable
from fmload_analysis.run import MeasuredEndpoint

HOURS_PER_MONTH = 730.0


@dataclass(frozen=True, slots=True)
class Pricing:
    """How an endpoint is paid for: by the hour (all its instances) or by the token. `source` says whence, and when."""

    source: str
    usd_per_hour: float | None = None
    instance_type: str | None = None
    count: int = 1
    purchase: str = "on_demand"
    region: str | None = None
    input_per_1m: float | None = None
    output_per_1m: float | None = None
    cached_input_per_1m: float | None = None
    date: str | None = None
    note: str | None = None

    @property
    def by_token(self) -> bool:
        """True when tokens are paid for, not hours."""
        return self.output_per_1m is not None


@dataclass(frozen=True, slots=True)
class Cost:
    """Prices of one stage in USD; None where they are unknown."""

    price_per_transaction: float | None = None
    price_per_token: float | None = None  # input and output tokens alike
    price_per_1m_input_tokens: float | None = None
    price_per_1m_output_tokens: float | None = None
    price_per_good_request: float | None = None
    stage_usd: float | None = None  # of the whole stage, ramp and drain included

    @property
    def price_per_1k_transactions(self) -> float | None:
        return None if self.price_per_transaction is None else self.price_per_transaction * 1e3

    @property
    def price_per_10k_transactions(self) -> float | None:
        return None if self.price_per_transaction is None else self.price_per_transaction * 1e4

    @property
    def price_per_1m_tokens(self) -> float | None:
        """Blended: input and output tokens alike."""
        return None if self.price_per_token is None else self.price_per_token * 1e6


PRICES = ("price_per_transaction", "price_per_token", "price_per_1m_input_tokens", "price_per_1m_output_tokens",
          "price_per_good_request", "price_per_1k_transactions", "price_per_10k_transactions", "price_per_1m_tokens")


def pricing_of(endpoint: MeasuredEndpoint, table: PriceTable, region: str | None = None) -> Pricing | None:
    """How the endpoint is paid for: as its run file says, else as the table says; None when neither knows."""
    price = endpoint.price
    if price is None:
        return _looked_up(endpoint.instance_type, 1, "on_demand", table, region) if endpoint.instance_type else None
    where = price.region or region
    if price.hourly is not None:
        return Pricing("the run file", price.hourly * price.count, price.instance_type or endpoint.instance_type,
                       price.count, price.purchase, where)
    if price.output_per_1m is not None or price.input_per_1m is not None:
        return Pricing("the run file", region=where, input_per_1m=price.input_per_1m or 0.0,
                       output_per_1m=price.output_per_1m or 0.0, cached_input_per_1m=price.cached_input_per_1m)
    if price.instance_type:
        return _looked_up(price.instance_type, price.count, price.purchase, table, where)
    return _of_model(price.model or endpoint.model, price.tier, table, where)


def _looked_up(instance_type: str, count: int, purchase: str, table: PriceTable,
               region: str | None) -> Pricing | None:
    quote = table.hourly(instance_type, region, purchase)
    if quote is None:
        return None
    return Pricing(quote.source, quote.usd * count, instance_type, count, purchase, quote.region, date=quote.date,
                   note=quote.note)


def _of_model(model: str | None, tier: str | None, table: PriceTable, region: str | None) -> Pricing | None:
    quote = table.tokens(model, tier) if model else None
    if quote is None:
        return None
    return Pricing(quote.source, region=region, input_per_1m=quote.input_per_1m, output_per_1m=quote.output_per_1m,
                   cached_input_per_1m=quote.cached_input_per_1m, date=quote.date, note=quote.note)


def priced(totals: Totals, pricing: Pricing | None, part: float = 1.0) -> Totals:
    """The totals with what they cost; `part` is the share of the endpoint's hours that a component of a mix bears."""
    if pricing is None:
        return totals
    if not pricing.by_token:
        return replace(totals, usd_per_hour=None if pricing.usd_per_hour is None else pricing.usd_per_hour * part)
    return replace(totals, usd_for_tokens=usd_of_tokens(
        pricing, totals.completed_tokens_in, totals.completed_tokens_out, totals.completed_tokens_cached or 0.0))


def usd_of_tokens(pricing: Pricing, tokens_in: float, tokens_out: float, cached: float = 0.0) -> float:
    """Tokens in × price in + tokens out × price out; cached input tokens at their own price where it is known."""
    cached_price = pricing.cached_input_per_1m if pricing.cached_input_per_1m is not None else pricing.input_per_1m
    return ((tokens_in - cached) * (pricing.input_per_1m or 0) + cached * (cached_price or 0)
            + tokens_out * (pricing.output_per_1m or 0)) / 1e6


def cost_of(totals: Totals, pricing: Pricing | None, stage_s: float = 0.0) -> Cost:
    """The prices of one stage. `totals` as `priced` returns them; `stage_s` the whole stage's duration."""
    if pricing is None:
        return Cost()
    transaction = metrics.price_per_transaction(totals)
    tokens = ratio(totals.completed_tokens_in + totals.completed_tokens_out, totals.completed)
    return Cost(
        price_per_transaction=transaction, price_per_token=ratio(transaction, tokens),
        price_per_1m_input_tokens=_per_1m_input(totals),
        price_per_1m_output_tokens=metrics.price_per_1m_output_tokens(totals),
        price_per_good_request=None if transaction is None else ratio(transaction * totals.completed, totals.good),
        stage_usd=totals.usd_for_tokens if pricing.by_token else _hours_usd(pricing, stage_s))


def _per_1m_input(totals: Totals) -> float | None:
    if totals.usd_for_tokens is not None:
        return ratio(totals.usd_for_tokens * 1e6, totals.completed_tokens_in)
    per_second = metrics.input_tokens_per_s(totals)
    return None if per_second is None or totals.usd_per_hour is None else ratio(
        totals.usd_per_hour / 3600 * 1e6, per_second)


def _hours_usd(pricing: Pricing, duration_s: float) -> float | None:
    return None if pricing.usd_per_hour is None else pricing.usd_per_hour / 3600 * duration_s


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The load from which an hourly endpoint is cheaper than a token-priced one, at the same tokens a request."""

    hourly: str
    by_token: str
    requests_per_s: float
    requests_per_month: float
    utilisation: float  # of the hourly endpoint's measured capacity, at that load


def break_even(hourly: tuple[str, Pricing], by_token: tuple[str, Pricing], tokens_in: float, tokens_out: float,
               capacity_per_s: float) -> BreakEven | None:
    """The load at which both cost the same, given mean tokens a request and the measured capacity.

    An hourly endpoint is paid whether used or not, and more load than its capacity takes another one: where a request
    costs more on a fully used deployment than by the token, it never pays, and None is returned.
    """
    (name, by_hour), (token_name, tokens) = hourly, by_token
    per_request = usd_of_tokens(tokens, tokens_in, tokens_out)
    if by_hour.usd_per_hour is None or not per_request > 0 or not capacity_per_s > 0:
        return None
    load = by_hour.usd_per_hour / 3600 / per_request
    if load > capacity_per_s:
        return None
    return BreakEven(name, token_name, load, load * 3600 * HOURS_PER_MONTH, load / capacity_per_s)


@dataclass(frozen=True, slots=True)
class MonthlyCost:
    """A month (730 h) at a demand: instances for it, and what they cost."""

    endpoint: str
    requests_per_s: float
    deployments: int | None  # of the measured size; None when paid by the token
    instances: int | None
    utilisation: float | None
    usd: float | None


def month_at(endpoint: str, pricing: Pricing, requests_per_s: float, capacity_per_s: float | None,
             tokens_in: float | None = None, tokens_out: float | None = None, headroom: float = 0.2) -> MonthlyCost:
    """What a constant demand costs in a month.

    `capacity_per_s`: requests per second that one deployment was measured to serve within the objectives; `headroom`
    is the share of it that stays free. None for the price where capacity or tokens are unknown.
    """
    if pricing.by_token:
        each = None if tokens_in is None or tokens_out is None else usd_of_tokens(pricing, tokens_in, tokens_out)
        usd = None if each is None else each * requests_per_s * 3600 * HOURS_PER_MONTH
        return MonthlyCost(endpoint, requests_per_s, None, None, None, usd)
    if not capacity_per_s:
        return MonthlyCost(endpoint, requests_per_s, None, None, None, None)
    deployments = max(1, math.ceil(requests_per_s / (capacity_per_s * (1 - headroom)) - 1e-9))
    usd = None if pricing.usd_per_hour is None else pricing.usd_per_hour * deployments * HOURS_PER_MONTH
    return MonthlyCost(endpoint, requests_per_s, deployments, deployments * pricing.count,
                       requests_per_s / (capacity_per_s * deployments), usd)


def total_usd(costs: Sequence[Cost]) -> float | None:
    """What the stages cost together; None when none of them has a known price."""
    known = [cost.stage_usd for cost in costs if cost.stage_usd is not None]
    return math.fsum(known) if known else None
