"""The running cost of an endpoint, for the screen. The report computes it again, from the records."""

from __future__ import annotations

from pathlib import Path

from fmload.config.schema import PriceSpec, RunFile
from fmload.locust.webui.view import Cost
from fmload.pricing.table import PriceTable, load_prices

HOUR_S = 3600.0
MILLION = 1e6


def costs_of(run: RunFile) -> dict[str, Cost]:
    """A cost function for every endpoint whose price is known."""
    priced = [spec for spec in run.endpoints if spec.price is not None]
    if not priced:
        return {}
    table = load_prices(Path(run.prices) if run.prices else None)
    return {spec.name: cost for spec in priced
            if spec.price is not None and (cost := cost_of(spec.price, table, run.region)) is not None}


def cost_of(price: PriceSpec, table: PriceTable, region: str | None) -> Cost | None:
    """By the hour where there is an hourly price, given or in the table, else by the token; None when unknown."""
    hourly = _hourly(price, table, region)
    if hourly is not None:
        return lambda served_s, _input, _output: hourly * served_s / HOUR_S
    tokens = _per_token(price, table)
    if tokens is not None:
        per_input, per_output = tokens
        return lambda _served_s, input_tokens, output_tokens: input_tokens * per_input + output_tokens * per_output
    return None


def _hourly(price: PriceSpec, table: PriceTable, region: str | None) -> float | None:
    if price.hourly is not None:
        return price.hourly * price.count
    quote = table.hourly(price.instance_type, price.region or region, price.purchase) if price.instance_type else None
    return quote.usd * price.count if quote else None


def _per_token(price: PriceSpec, table: PriceTable) -> tuple[float, float] | None:
    if price.input_per_1m is not None and price.output_per_1m is not None:
        return price.input_per_1m / MILLION, price.output_per_1m / MILLION
    quote = table.tokens(price.model, price.tier) if price.model else None
    return (quote.input_per_1m / MILLION, quote.output_per_1m / MILLION) if quote else None
