"""The running cost of an endpoint, for the screen. The report computes it again, from the records."""

from __future__ import annotations

from fmload.config.schema import PriceSpec, RunFile
from fmload.webui.view import Cost

HOUR_S = 3600.0
MILLION = 1e6


def costs_of(run: RunFile) -> dict[str, Cost]:
    """A cost function for every endpoint whose price the run file gives."""
    return {spec.name: cost for spec in run.endpoints
            if spec.price is not None and (cost := cost_of(spec.price)) is not None}


def cost_of(price: PriceSpec) -> Cost | None:
    """By the hour where an hourly price is given, else by the token; None when the run file gives neither."""
    if price.hourly is not None:
        hourly = price.hourly * price.count
        return lambda served_s, _input, _output: hourly * served_s / HOUR_S
    if price.input_per_1m is not None and price.output_per_1m is not None:
        per_input, per_output = price.input_per_1m / MILLION, price.output_per_1m / MILLION
        return lambda _served_s, input_tokens, output_tokens: input_tokens * per_input + output_tokens * per_output
    return None
