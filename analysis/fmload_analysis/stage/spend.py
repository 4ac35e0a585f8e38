"""What the requests of one stage cost by the token, and what of it was waste. For hourly prices all sums are 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fmload.metrics.definitions import Bools, Floats
from fmload.model.outcome import NEITHER
from fmload.pricing.resolve import Pricing
from fmload.pricing.spend import Billed, billed, usd_of, without_cache
from fmload_analysis.stage.table import Part, in_blocks
from fmload_analysis.stage.windows import inside


@dataclass(frozen=True, slots=True)
class Prices:
    """The price of one endpoint, and its other options (purchase options, service tiers), by name. `of_tenants`: those
    of tenants whose tokens have another price (None: it is not known)."""

    pricing: Pricing | None = None
    options: Mapping[str, Pricing] = field(default_factory=dict)
    of_tenants: Mapping[str, Pricing | None] = field(default_factory=dict)

    def of(self, tenant: str | None) -> Prices:
        """What the requests of a tenant are paid by. With a price of its own there are no options."""
        own = tenant is not None and tenant in self.of_tenants
        return Prices(self.of_tenants[tenant or ""]) if own else replace(self, of_tenants={})


@dataclass(frozen=True, slots=True)
class Spend:
    """USD for tokens. `useful`: of the requests that ended well inside the window. The rest is waste: `outside` of
    those that ended well before or after it (ramp, warm-up, drain), `failed`, and `cancelled` by the client itself.

    `wasted_inside`: of the failed and cancelled, those that ended inside the window. `tokens_failed` and
    `tokens_cancelled` are output tokens of those, `uncached` what the useful ones would have cost
    without a cache, and `options` what they would have cost under other options; None, or no entry: not by the token.
    """

    useful: float = 0.0
    outside: float = 0.0
    failed: float = 0.0
    cancelled: float = 0.0
    tokens_failed: float = 0.0
    tokens_cancelled: float = 0.0
    wasted_inside: float = 0.0
    uncached: float | None = None
    options: Mapping[str, float] = field(default_factory=dict)

    @property
    def usd(self) -> float:
        """All that was paid for."""
        return self.useful + self.outside + self.failed + self.cancelled


def spend_of(table: Mapping[str, Any], completed: Bools, prices: Prices, window_ns: int) -> Spend:
    """The spend of a stage, of the columns of its requests; `completed` are those that ended well in the window."""
    outcome = table["outcome"]
    cancelled, ok = outcome.isin(NEITHER), outcome == "ok"
    failed = ~ok & ~cancelled
    made = in_blocks(table, lambda some: billed_of(some).tokens_out)
    lost = _sum(made, failed), _sum(made, cancelled)
    if prices.pricing is None or not prices.pricing.by_token:
        return Spend(tokens_failed=lost[0], tokens_cancelled=lost[1])
    usd = usd_of_each(table, prices.pricing)
    return Spend(_sum(usd, completed), _sum(usd, ok & ~completed), _sum(usd, failed), _sum(usd, cancelled), *lost,
                 wasted_inside=_sum(usd, ~ok & inside(table["ended"], window_ns)),
                 uncached=_sum(usd_of_each(table, prices.pricing, cached=False), completed),
                 options={name: _sum(usd_of_each(table, other), completed) for name, other in prices.options.items()})


def spend_of_all(table: Mapping[str, Any], completed: Bools, prices: Prices, window_ns: int) -> Spend:
    """As `spend_of`, each request at its tenant's price. Requests whose price is not known cost nothing here: whoever
    uses the sum looks for them first."""
    if not prices.of_tenants:
        return spend_of(table, completed, prices, window_ns)
    whose = table["tenant"]
    parts = [spend_of(Part(table, mine), completed[mine], prices.of(tenant), window_ns)
             for tenant in (None, *sorted(each for each in whose.counted() if each is not None))
             if (mine := whose == tenant).any()]
    uncached = [part.uncached for part in parts if part.uncached is not None]
    sums = {name: sum(getattr(part, name) for part in parts) for name in _SUMS}
    return Spend(**sums, uncached=sum(uncached) if len(uncached) == len(parts) and parts else None)


_SUMS = ("useful", "outside", "failed", "cancelled", "tokens_failed", "tokens_cancelled", "wasted_inside")


def billed_of(table: Mapping[str, Any]) -> Billed:
    """The tokens that are billed, of the columns of a stage's requests."""
    return billed(sent=np.isfinite(table["sent"]), status=table["status"], input_tokens=table["server_input_tokens"],
                  prompt_tokens=table["prompt_tokens"], output_tokens=table["output_tokens"],
                  chunk_tokens=table["delivered"], cached=table["cached_tokens"], written=table["cache_write_tokens"],
                  written_1h=table["cache_write_1h_tokens"], audio_in_s=table["audio_in_s"],
                  audio_out_s=table["audio_out_s"], characters=table["characters"], images=table["images"],
                  inputs=table["inputs"])


def usd_of_each(table: Mapping[str, Any], pricing: Pricing, cached: bool = True) -> Floats:
    """What each request costs in USD; not `cached`: had no cache been there."""
    def usd(some: Mapping[str, Any]) -> Floats:
        counts = billed_of(some)
        return usd_of(pricing, counts if cached else without_cache(counts))  # type: ignore[no-any-return]

    return in_blocks(table, usd)


def _sum(values: Floats, rows: Bools) -> float:
    return float(values[rows].sum())
