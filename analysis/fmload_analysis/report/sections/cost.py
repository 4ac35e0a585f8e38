"""What the run cost, what the prices are and whence, and what a month at a given demand would cost."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fmload_analysis.document import formats
from fmload_analysis.document.document import Block, Cell, Column, Paragraph, Section, Table
from fmload_analysis.document.formats import cell, name, text
from fmload_analysis.report.sections.throughput import is_sound
from fmload_analysis.run import stage_s
from fmload_analysis.stage.deployment import deployed
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.cost import BreakEven, break_even, month_at
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.table import StageResult

DEMANDS_PER_MINUTE = (1, 10, 100, 1_000, 10_000)


def render(analysis: Analysis) -> Section | None:
    """Prices, the cost of every stage and of the run, a month, and where hourly and per-token prices break even."""
    if not analysis.results:
        return None
    blocks: list[Block] = [Paragraph(_total(analysis)), _prices(analysis), _stages(analysis)]
    blocks += [table for table in (_deployed(analysis), _months(analysis), _break_evens(analysis)) if table.rows]
    return Section("cost", "Cost", blocks)


def _total(analysis: Analysis) -> str:
    unknown = sorted({result.endpoint for result in analysis.results if result.cost.stage_usd is None})
    total = f"All stages together, with ramp, warm-up and drain: **{text(analysis.total_usd, formats.usd)}**."
    return total + (f" Without {', '.join(unknown)}: price n/a." if unknown and analysis.total_usd is not None else "")


def _prices(analysis: Analysis) -> Table:
    columns = [Column("Endpoint", numeric=False), Column("Instance", numeric=False), Column("Count"),
               Column("All instances", "USD/h"), Column("Input", "USD per 1M"), Column("Cached", "USD per 1M"),
               Column("Output", "USD per 1M"), Column("Purchase", numeric=False), Column("Region", numeric=False),
               Column("Date", numeric=False), Column("Source", numeric=False, wide=True)]
    rows = []
    for endpoint, price in analysis.pricing.items():
        if price is None:
            rows.append([name(endpoint), *([Cell("")] * (len(columns) - 2)), Cell(formats.ABSENT)])
            continue
        source = f"{price.source}; {price.note}" if price.note else price.source
        rows.append([
            name(endpoint), name(price.instance_type), Cell("" if price.by_token else str(price.count), price.count),
            *map(_usd, (price.usd_per_hour, price.input_per_1m, price.cached_input_per_1m, price.output_per_1m)),
            name("" if price.by_token else price.purchase.replace("_", " ")), name(price.region), name(price.date),
            name(source)])
    return _without_blanks(Table(columns, rows, "**Prices**"))


def _without_blanks(table: Table) -> Table:
    """The table without the columns in which no row says anything."""
    kept = [place for place in range(len(table.columns)) if any(row[place].text for row in table.rows)]
    return Table([table.columns[place] for place in kept], [[row[place] for place in kept] for row in table.rows],
                 table.caption)


def _usd(value: float | None) -> Cell:
    return Cell("") if value is None else cell(value, lambda price: f"{price:,.4g}")


def _stages(analysis: Analysis) -> Table:
    columns = [*STAGE_COLUMNS, Column("Duration", "s", "From the ramp to the end of the drain"), Column("Cost", "USD"),
               Column("Per transaction", "USD", detail=True), Column("Per 1k", "USD", detail=True),
               Column("Per 10k", "USD"), Column("Per 1M input", "USD", detail=True), Column("Per 1M output", "USD"),
               Column("Per 1M tokens", "USD", "Input and output alike"),
               Column("Per good request", "USD", "Only requests that met every objective are counted", detail=True)]
    rows = []
    for result in analysis.results:
        cost = result.cost
        prices = (cost.stage_usd, cost.price_per_transaction, cost.price_per_1k_transactions,
                  cost.price_per_10k_transactions, cost.price_per_1m_input_tokens, cost.price_per_1m_output_tokens,
                  cost.price_per_1m_tokens, cost.price_per_good_request)
        rows.append([*stage_cells(result), cell(stage_s(result.summary.stage), formats.seconds),
                     *(cell(price, formats.usd) for price in prices)])
    return Table(columns, rows, "**Cost of every stage**")


def _deployed(analysis: Analysis) -> Table:
    columns = [Column("Endpoint", numeric=False), Column("What", numeric=False), Column("Region", numeric=False),
               Column("Price", "USD/h"), Column("Up", numeric=False), Column("Cost", "USD")]
    found = deployed(analysis.run.results.root)
    rows = [[name(each.endpoint), name(each.kind), name(each.region), cell(each.usd_per_hour, formats.significant),
             Cell("still up" if each.duration_s is None else formats.duration(each.duration_s), each.duration_s),
             cell(each.usd, formats.usd)] for each in found]
    known = [each.usd for each in found if each.usd is not None]
    total = formats.usd(math.fsum(known)) if known else formats.ABSENT
    return Table(columns, rows, f"**Deployed for this run**, from creation to deletion, start-up included: {total}")


def capacities(analysis: Analysis) -> dict[tuple[str, str], StageResult]:
    """By endpoint and prompt set, the sound stage with the highest throughput that meets the objectives."""
    found: dict[tuple[str, str], StageResult] = {}
    for result in analysis.results:
        key = (result.endpoint, result.prompt_set)
        rate = result.value("requests_per_s")
        if rate and is_sound(result) and result.meets_objectives is not False and (
                key not in found or rate > (found[key].value("requests_per_s") or 0)):
            found[key] = result
    return found


def _alone(analysis: Analysis) -> dict[tuple[str, str], StageResult]:
    """The capacities that are an endpoint's own: a component of a mix had only a part of it."""
    return {key: result for key, result in capacities(analysis).items() if result.summary.stage.mix is None}


def _months(analysis: Analysis) -> Table:
    columns = [Column("Endpoint", numeric=False), Column("Prompts", numeric=False), Column("Capacity", "requests/min"),
               *(Column(f"{demand:,}/min", "USD") for demand in DEMANDS_PER_MINUTE)]
    rows = []
    for (endpoint, prompt_set), result in _alone(analysis).items():
        price = analysis.pricing.get(endpoint)
        if price is None:
            continue
        rate = result.value("requests_per_s") or 0
        months = (month_at(endpoint, price, demand / 60, rate, result.value("input_tokens_mean"),
                           result.value("output_tokens_mean")) for demand in DEMANDS_PER_MINUTE)
        rows.append([name(endpoint), name(prompt_set), cell(rate * 60, formats.significant), *(
            Cell(text(month.usd, _whole_usd) + (f" ({month.instances:,})" if month.instances else ""), month.usd)
            for month in months)])
    return Table(columns, rows, "**A month (730 h) at a constant demand**: its cost, and in brackets the instances for "
                                "it at the objectives with 20 % of capacity kept free. Scale-out is taken as linear.")


def _whole_usd(value: float) -> str:
    """An estimate of a month has no cents: $33,209, but $0.42."""
    return f"${value:,.0f}" if value >= 100 else formats.usd(value)


def _break_evens(analysis: Analysis) -> Table:
    columns = [Column("Hourly", numeric=False), Column("By the token", numeric=False), Column("Prompts", numeric=False),
               Column("Break-even", "requests/min"), Column("Per month", "requests"), Column("Utilisation")]
    rows = [[name(found.hourly), name(found.by_token), name(prompt_set),
             cell(found.requests_per_s * 60, formats.significant), cell(found.requests_per_month, formats.count),
             cell(found.utilisation, formats.percent)] for prompt_set, found in _pairs(analysis)]
    return Table(columns, rows, "**Break-even**: above this load the hourly endpoint is cheaper, as far as one "
                                "deployment serves it")


def _pairs(analysis: Analysis) -> Iterator[tuple[str, BreakEven]]:
    hourly = {key: result for key, result in _alone(analysis).items() if _by_hour(analysis, key[0])}
    tokens = {endpoint: price for endpoint, price in analysis.pricing.items() if price is not None and price.by_token}
    for (endpoint, prompt_set), result in hourly.items():
        price = analysis.pricing[endpoint]
        means = (result.value("input_tokens_mean") or 0.0, result.value("output_tokens_mean") or 0.0)
        for other, by_token in tokens.items():
            found = price and break_even((endpoint, price), (other, by_token), *means,
                                         result.value("requests_per_s") or 0.0)
            if found:
                yield prompt_set, found


def _by_hour(analysis: Analysis, endpoint: str) -> bool:
    price = analysis.pricing.get(endpoint)
    return price is not None and not price.by_token
