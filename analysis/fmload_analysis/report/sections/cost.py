"""What the run cost, what the prices are and whence, and what a month at a given demand would cost."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from fmload.pricing.resolve import Pricing
from fmload_analysis.document import formats
from fmload_analysis.document.document import Block, Bullets, Cell, Column, Paragraph, Section, Table
from fmload_analysis.document.formats import cell, name, text
from fmload_analysis.document.questions import MONTH
from fmload_analysis.run import stage_s
from fmload_analysis.stage.deployment import deployed
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.capacity import Capacity, capacities
from fmload_analysis.verdict.cost import BreakEven, break_even, month_at
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.products import PRODUCTS
from fmload_analysis.verdict.table import StageResult, without_text

DEMANDS_PER_MINUTE = (1, 10, 100, 1_000, 10_000)


def render(analysis: Analysis) -> Section | None:
    """Prices, the cost of every stage and of the run, its waste, other options, a month, and break-evens."""
    if not analysis.results:
        return None
    if not any(analysis.pricing.values()) and not any(_stopped(analysis)) and not _deployed(analysis).rows:
        return Section("cost", "Prices", [*_of_the_load(analysis), *_unpriced(analysis)], MONTH,
                       "Not known: no price is given.")
    blocks: list[Block] = [Paragraph(_total(analysis)), *_of_the_load(analysis), *_stopped(analysis), _prices(analysis),
                           *_unpriced(analysis), _stages(analysis)]
    tables = (_waste(analysis), _deployed(analysis), _options(analysis), _months(analysis), _break_evens(analysis))
    return Section("cost", "Cost", [*blocks, *(table for table in tables if table.rows)], MONTH, _gist(analysis))


def _gist(analysis: Analysis) -> str:
    """What a month costs at a middling demand, for each endpoint and prompt set."""
    told = []
    for (endpoint, prompt_set), found in _alone(analysis).items():
        price = analysis.pricing.get(endpoint)
        if price is None:
            continue
        month = month_at(endpoint, price, DEMANDS_PER_MINUTE[2] / 60, found.requests_per_s,
                         found.result.cost.price_per_transaction, most=None if found.bracketed else 1)
        if month.usd is not None:
            told.append(f"{endpoint} with {prompt_set}: {_whole_usd(month.usd)}")
    return f"At {DEMANDS_PER_MINUTE[2]:,} requests a minute: {formats.first(told, '; ')}." if told else ""


def _total(analysis: Analysis) -> str:
    unknown = sorted({result.endpoint for result in analysis.results if result.cost.stage_usd is None})
    total = ("All stages together, with ramp, warm-up, drain and failed requests: "
             f"**{text(analysis.total_usd, formats.usd)}**.")
    total += f" Without {', '.join(unknown)}: price n/a." if unknown and analysis.total_usd is not None else ""
    if analysis.repeated_usd:
        total += f" Stages that were broken off, and run again, cost {formats.usd(analysis.repeated_usd)} more."
    judged = _judges_usd(analysis)
    return total + (f" Evaluating the answers cost {formats.usd(judged)} more." if judged else "")


def _judges_usd(analysis: Analysis) -> float | None:
    """What the judges of the answers cost, where that is known."""
    path = analysis.run.results.evaluation_json
    if not path.exists():
        return None
    known = [judge.get("usd") for judge in json.loads(path.read_text()).get("judges") or ()]
    return math.fsum(usd for usd in known if usd is not None) or None


def _of_the_load(analysis: Analysis) -> Iterator[Paragraph]:
    """What the hosts of the load cost, where they were a fleet (`fmload fleet`); it is in no price of an endpoint."""
    try:
        told = json.loads(analysis.run.results.fleet_json.read_text())
        words, usd, hourly = _words(told), told["usd"], told["hourly_usd"]
        amount = f"{text(usd, formats.usd)} at {text(hourly, formats.usd)} an hour"
    except (OSError, ValueError, KeyError, TypeError):
        return
    if hourly != 0:
        yield Paragraph(f"**The load itself**: {words}, cost {amount}. That is in none of the prices here.")


def _words(told: dict[str, Any]) -> str:
    """The fleet in words; nothing of its names but what names may hold."""
    hosts = f"{int(told['hosts'])} × {', '.join(map(str, told['instance_types']))}" if told["instance_types"] else (
        f"{int(told['workers']) + 1} hosts")
    return re.sub(r"[^\w ,.×()-]", "", f"fleet {told['name']} on {told['target']} ({hosts})")[:200]


def _stopped(analysis: Analysis) -> Iterator[Paragraph]:
    """Why the run ended early, when that was its budget."""
    for event in analysis.run.events:
        if event.get("kind") == "budget":
            yield Paragraph(f"**The run was stopped by its budget**: {event.get('detail')}. What was measured until "
                            "then stands here; `--resume` with a higher `max_cost` goes on.")
            return


def _unpriced(analysis: Analysis) -> Iterator[Bullets]:
    """Why a price is unknown, and the remedy."""
    if analysis.unpriced:
        yield Bullets([f"{endpoint}: n/a, as {why.reason}. To have it: {why.remedy}."
                       for endpoint, why in analysis.unpriced.items()])


def _prices(analysis: Analysis) -> Table:
    columns = [Column("Endpoint", numeric=False), Column("Instance", numeric=False), Column("Count"),
               Column("All instances", "USD/h"), Column("Input", "USD per 1M"), Column("Cached", "USD per 1M"),
               Column("Cache write", "USD per 1M"), Column("Cache write, 1 h", "USD per 1M"),
               Column("Output", "USD per 1M"), Column("Image", "USD"), Column("Sound", "USD a minute"),
               Column("Characters", "USD per 1M"), Column("Search", "USD per 1k"), Column("Tier", numeric=False),
               Column("Purchase", numeric=False), Column("Region", numeric=False),
               Column("Date", numeric=False), Column("Source", numeric=False, wide=True)]
    rows = []
    for endpoint, price in _each_price(analysis):
        if price is None:
            rows.append([name(endpoint), *([Cell("")] * (len(columns) - 2)), Cell(formats.ABSENT)])
            continue
        source = f"{price.source}; {price.note}" if price.note else price.source
        rows.append([
            name(endpoint), name(price.instance_type), Cell("" if price.by_token else str(price.count), price.count),
            *map(_usd, (price.usd_per_hour, price.input_per_1m, price.cached_input_per_1m, price.cache_write_per_1m,
                        price.cache_write_1h_per_1m, price.output_per_1m, price.per_image, price.per_audio_minute,
                        price.per_1m_characters, price.per_1k_searches)), name(_tier(price)),
            name("" if price.by_token else price.purchase.replace("_", " ")), name(price.region), name(price.date),
            name(source)])
    return _without_blanks(Table(columns, rows, "**Prices**"))


def _each_price(analysis: Analysis) -> Iterator[tuple[str, Pricing | None]]:
    """Of each endpoint, and behind it those of its tenants whose price is another."""
    for endpoint, price in analysis.pricing.items():
        yield endpoint, price
        for tenant, own in (price.of_tenants if price else {}).items():
            yield f"{endpoint}: {tenant}", own if isinstance(own, Pricing) else None


def _tier(price: Pricing) -> str:
    """Service tier and latency mode, where they are not the usual ones, and that long inputs cost more."""
    longer = [f"more above {rates.above:,} tokens" for rates in price.steps]
    return ", ".join(filter(None, (price.tier, price.latency and f"{price.latency} latency", *longer)))


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
               Column("Per good request", "USD", "Only requests that met every objective are counted", detail=True),
               *(Column(product.price_label, "USD", product.paid) for product in PRODUCTS),
               Column(_CHARACTERS, "USD", "Spoken")]
    rows = []
    for result in analysis.results:
        cost = result.cost
        prices = (cost.stage_usd, cost.price_per_transaction, cost.price_per_1k_transactions,
                  cost.price_per_10k_transactions, cost.price_per_1m_input_tokens, cost.price_per_1m_output_tokens,
                  cost.price_per_1m_tokens, cost.price_per_good_request,
                  *(result.value(product.price) for product in PRODUCTS), result.value("price_per_1m_characters"))
        rows.append([*stage_cells(result), cell(stage_s(result.summary.stage), formats.seconds),
                     *(cell(price, formats.usd) for price in prices)])
    table = Table(columns, rows, "**Cost of every stage**")
    there = {result.product for result in analysis.results}
    lacking = [product.price_label for product in PRODUCTS if product not in there]
    lacking += [] if any(result.speaks for result in analysis.results) else [_CHARACTERS]
    return _without(table, *lacking, *(["Per 1M output"] if without_text(analysis.results) else []))


_CHARACTERS = "Per 1M characters"


def _without(table: Table, *labels: str) -> Table:
    """The table without columns that no stage fills."""
    kept = [place for place, column in enumerate(table.columns) if column.label not in labels]
    return Table([table.columns[place] for place in kept], [[row[place] for place in kept] for row in table.rows],
                 table.caption)


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


def _waste(analysis: Analysis) -> Table:
    columns = [*STAGE_COLUMNS, Column("Paid", "USD", "The whole stage"),
               Column("Useful", "USD", "For requests that ended well inside the window"),
               Column("Around the window", "USD", "Ramp, warm-up and drain"),
               Column("Failed", "USD"), Column("Given up", "USD"),
               Column("Output of failed", "tokens", "Arrived before their requests failed; in no price per token"),
               Column("Output of given up", "tokens")]
    rows = []
    for result in analysis.results:
        cost, spend = result.cost, result.summary.spend
        if cost.stage_usd is None:
            continue
        rows.append([*stage_cells(result), *(cell(usd, formats.usd) for usd in _parts(result, cost.stage_usd)),
                     cell(spend.tokens_failed, formats.count), cell(spend.tokens_cancelled, formats.count)])
    table = Table(columns, rows, "**Where it went**: what was paid without a measured answer is waste. By the hour, "
                                 "failed and given-up requests have no price of their own, unless none ended well.")
    return _without(table, "Output of failed", "Output of given up") if without_text(analysis.results) else table


def _parts(result: StageResult, paid: float) -> tuple[float | None, ...]:
    """What was paid for a stage in all, and of it: useful, around the window, failed, given up. Hours in which no
    request ended well were paid for those that failed, else for those that were given up."""
    cost = result.cost
    lost = [cost.outside_usd, cost.failed_usd, cost.cancelled_usd]
    useful = paid - math.fsum(usd for usd in lost if usd)
    if useful and not result.totals.completed:
        place = 1 if result.totals.failed else 2
        lost[place], useful = (lost[place] or 0.0) + useful, 0.0
    return paid, useful, *lost


def _alone(analysis: Analysis) -> dict[tuple[str, str], Capacity]:
    """The capacities that are an endpoint's own: a component of a mix had only a part of it."""
    return {key: found for key, found in capacities(analysis.results).items() if found.result.summary.stage.mix is None}


def _options(analysis: Analysis) -> Table:
    columns = [Column("Endpoint", numeric=False), Column("Prompts", numeric=False), Column("As", numeric=False),
               Column("All instances", "USD/h"), Column("Per 10k", "USD"), Column("Per 1M output", "USD"),
               Column("Against now", "%"), Column("Date", numeric=False)]
    rows = [row for (endpoint, prompt_set), found in capacities(analysis.results).items()
            for row in _options_of(analysis, endpoint, prompt_set, found)]
    return Table(columns, rows, "**The same stage at other prices**: purchase options, service tiers, and its tokens "
                                "without a cache. What the price table does not know is not here.")


def _options_of(analysis: Analysis, endpoint: str, prompt_set: str, found: Capacity) -> Iterator[list[Cell]]:
    """Nothing where there is no other price to compare with."""
    cost, spend, pricing = found.result.cost, found.result.summary.spend, analysis.pricing.get(endpoint)
    if pricing is None or not cost.price_per_10k_transactions:
        return
    factors: dict[str, tuple[float, Pricing]] = {}
    for option, other in analysis.options.get(endpoint, {}).items():
        if other.usd_per_hour is not None and pricing.usd_per_hour:
            factors[option.replace("_", " ")] = (other.usd_per_hour / pricing.usd_per_hour, other)
        elif option in spend.options and spend.useful:
            dearer = other.cached_input_per_1m is None and pricing.cached_input_per_1m is not None
            factors[f"tier {option}{', no price of cached tokens' if dearer else ''}"] = (
                spend.options[option] / spend.useful, other)
    cached = found.result.totals.completed_tokens_cached
    if cached and spend.uncached is not None and spend.useful:
        factors["without a cache"] = (spend.uncached / spend.useful, pricing)
    if factors:
        paid = (pricing.tier or "default tier") if pricing.by_token else pricing.purchase.replace("_", " ")
        for label, (factor, at) in {f"as paid ({paid})": (1.0, pricing), **factors}.items():
            yield [name(endpoint), name(prompt_set), name(label), cell(at.usd_per_hour, formats.significant),
                   *(cell(None if usd is None else usd * factor, formats.usd) for usd in (
                       cost.price_per_10k_transactions, cost.price_per_1m_output_tokens)),
                   cell(factor, lambda share: f"{100 * share:.0f}"), name(at.date)]


def _months(analysis: Analysis) -> Table:
    columns = [Column("Endpoint", numeric=False), Column("Prompts", numeric=False), Column("Capacity", "requests/min"),
               *(Column(f"{demand:,}/min", "USD") for demand in DEMANDS_PER_MINUTE),
               Column("How the capacity is known", numeric=False, wide=True)]
    rows = []
    for (endpoint, prompt_set), found in _alone(analysis).items():
        price = analysis.pricing.get(endpoint)
        if price is None:
            continue
        months = (month_at(endpoint, price, demand / 60, found.requests_per_s, found.result.cost.price_per_transaction,
                           most=None if found.bracketed else 1) for demand in DEMANDS_PER_MINUTE)
        rows.append([name(endpoint), name(prompt_set), cell(found.requests_per_s * 60, formats.significant), *(
            Cell(text(month.usd, _whole_usd) + (f" ({month.instances:,})" if month.instances else ""), month.usd)
            for month in months), name("by the token: none is needed" if price.by_token else found.how)])
    return Table(columns, rows, "**A month (730 h) at a constant demand**: its cost, and in brackets the instances "
                                "for it at the objectives with 20 % of capacity kept free. Several deployments are "
                                "taken to serve as many times as much as one; beyond one deployment a capacity that is "
                                "not bracketed gives no figure (n/a): measure at higher loads.")


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
                                "deployment was measured to serve it; both with the same prompts, each as it was paid")


def _pairs(analysis: Analysis) -> Iterator[tuple[str, BreakEven]]:
    alone = _alone(analysis)
    for (endpoint, prompt_set), hourly in alone.items():
        price = analysis.pricing.get(endpoint)
        if price is None or price.by_token:
            continue
        for (other, same), token_priced in alone.items():
            by_token = analysis.pricing.get(other)
            each = token_priced.result.cost.price_per_transaction
            if same == prompt_set and by_token is not None and by_token.by_token and each is not None:
                found = break_even((endpoint, price), (other, each), hourly.requests_per_s)
                if found:
                    yield prompt_set, found
