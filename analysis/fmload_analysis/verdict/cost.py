"""What a stage costs: hourly or by the token, per transaction, per token, per good request; a month, a break-even.

An unknown price is None, which people read as "n/a".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fmload.metrics import definitions as metrics
from fmload.metrics.definitions import Totals, ratio
from fmload.pricing.resolve import Pricing
from fmload.pricing.spend import Billed, usd_of
from fmload_analysis.stage.spend import Spend

HOURS_PER_MONTH = 730.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Prices of one stage in USD; None where they are unknown."""

    price_per_transaction: float | None = None
    price_per_token: float | None = None  # input and output tokens alike
    price_per_1m_input_tokens: float | None = None
    price_per_1m_output_tokens: float | None = None
    price_per_good_request: float | None = None
    stage_usd: float | None = None  # of the whole stage: ramp, warm-up, drain and failed requests included
    outside_usd: float | None = None  # of that, before and after the window
    failed_usd: float | None = None  # and for requests that failed; None: paid by the hour
    cancelled_usd: float | None = None  # and for those that the client gave up

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


def priced(totals: Totals, pricing: Pricing | None, spend: Spend | None = None, part: float = 1.0) -> Totals:
    """The totals with what they cost: by the token as its requests were (`spend`), or as their sums where only those
    are known; `part` is the share of the endpoint's hours that a component of a mix bears."""
    if pricing is None:
        return totals
    if not pricing.by_token:
        return replace(totals, usd_per_hour=None if pricing.usd_per_hour is None else pricing.usd_per_hour * part)
    return replace(totals, usd_wasted=spend.wasted_inside if spend is not None else 0.0,
                   usd_for_tokens=spend.useful if spend is not None else usd_of(
                       pricing, _billed(totals)))


def _billed(totals: Totals) -> Billed:
    """The sums of the completed requests, as they are billed."""
    sound = totals.sound
    return Billed(totals.completed_tokens_in, totals.completed_tokens_out, totals.completed_tokens_cached or 0.0,
                  audio_s=sound.audio_s or 0.0 if sound else 0.0,
                  characters=sound.characters if sound and sound.spoken else 0.0)


def cost_of(totals: Totals, pricing: Pricing | None, stage_s: float = 0.0, spend: Spend | None = None) -> Cost:
    """The prices of one stage. `totals` as `priced` returns them; `stage_s` the whole stage's duration."""
    if pricing is None:
        return Cost()
    transaction = metrics.price_per_transaction(totals)
    tokens = ratio(totals.completed_tokens_in + totals.completed_tokens_out, totals.completed)
    cost = Cost(
        price_per_transaction=transaction, price_per_token=ratio(transaction, tokens),
        price_per_1m_input_tokens=_per_1m_input(totals),
        price_per_1m_output_tokens=metrics.price_per_1m_output_tokens(totals),
        price_per_good_request=None if transaction is None else ratio(transaction * totals.completed, totals.good))
    if not pricing.by_token:
        return replace(cost, stage_usd=_hours_usd(pricing, stage_s),
                       outside_usd=_hours_usd(pricing, max(0.0, stage_s - totals.window_s)))
    paid = spend or Spend(useful=totals.usd_for_tokens or 0.0)
    return replace(cost, stage_usd=paid.usd, outside_usd=paid.outside, failed_usd=paid.failed,
                   cancelled_usd=paid.cancelled)


def _per_1m_input(totals: Totals) -> float | None:
    if totals.usd_for_tokens is not None:
        return ratio(totals.usd_for_tokens * 1e6, totals.completed_tokens_in)
    per_second = ratio(totals.tokens_in - totals.tokens_in_failed, totals.window_s)
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


def break_even(hourly: tuple[str, Pricing], by_token: tuple[str, float], capacity_per_s: float) -> BreakEven | None:
    """The load at which both cost the same, given what a request costs by the token (USD) and the measured capacity.

    An hourly endpoint is paid whether used or not, and more load than its capacity takes another one: where a request
    costs more on a fully used deployment than by the token, it never pays, and None is returned.
    """
    (name, by_hour), (token_name, usd_per_request) = hourly, by_token
    if by_hour.usd_per_hour is None or not usd_per_request > 0 or not capacity_per_s > 0:
        return None
    load = by_hour.usd_per_hour / 3600 / usd_per_request
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
             usd_per_request: float | None = None, headroom: float = 0.2, most: int | None = None) -> MonthlyCost:
    """What a constant demand costs in a month.

    `capacity_per_s`: requests per second that one deployment was measured to serve within the objectives; `headroom`
    is the share of it that stays free; `usd_per_request` what a request was measured to cost by the token. None for the
    price where what it takes is unknown, or takes more than `most` deployments.
    """
    if pricing.by_token:
        usd = None if usd_per_request is None else usd_per_request * requests_per_s * 3600 * HOURS_PER_MONTH
        return MonthlyCost(endpoint, requests_per_s, None, None, None, usd)
    if not capacity_per_s:
        return MonthlyCost(endpoint, requests_per_s, None, None, None, None)
    deployments = max(1, math.ceil(requests_per_s / (capacity_per_s * (1 - headroom)) - 1e-9))
    if most is not None and deployments > most:
        return MonthlyCost(endpoint, requests_per_s, None, None, None, None)
    usd = None if pricing.usd_per_hour is None else pricing.usd_per_hour * deployments * HOURS_PER_MONTH
    return MonthlyCost(endpoint, requests_per_s, deployments, deployments * pricing.count,
                       requests_per_s / (capacity_per_s * deployments), usd)


def total_usd(costs: Sequence[Cost]) -> float | None:
    """What the stages cost together; None when none of them has a known price."""
    known = [cost.stage_usd for cost in costs if cost.stage_usd is not None]
    return math.fsum(known) if known else None
