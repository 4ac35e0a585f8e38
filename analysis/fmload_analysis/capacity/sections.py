"""The sections of the page of a capacity plan."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fmload_analysis.capacity import scaling_section
from fmload_analysis.capacity.answer import Answer, Option
from fmload_analysis.capacity.figures import Estimate
from fmload_analysis.capacity.refit import FIGURES
from fmload_analysis.capacity.trial import Tried
from fmload_analysis.capacity.words import MARKS, count, headline, kept, meaning, option_name, shown
from fmload_analysis.document import formats
from fmload_analysis.document.document import (
    Axis,
    Block,
    Bullets,
    Callout,
    Cell,
    Chart,
    Column,
    Mark,
    Paragraph,
    Point,
    Rule,
    Section,
    Series,
    Table,
    literal,
)
from fmload_analysis.document.formats import cell, name

_SHOWN = ("ttft_p50", "ttft_p95", "ttft_p99", "e2e_p50", "e2e_p95", "e2e_p99")


def sections(found: Answer) -> list[Section]:
    """All of them, in the page's order."""
    return [_plan(found), _demand(found), *(section for option in found.options for section in _of_option(found,
    option)), Section("meaning", "What the figures mean", [Bullets(meaning(found))])]


def _plan(found: Answer) -> Section:
    blocks: list[Block] = [Paragraph(text) for text in headline(found)]
    if emulated := [one for one in found.options if one.emulated]:
        blocks.append(Callout("warn", "Emulated", f"{formats.listed([one.name for one in emulated])}: the replica that "
                              "was measured is the emulator's model, not a machine."))
    if found.unjudged:
        blocks.append(Callout("note", "Not judged", f"A simulation has no {formats.listed(found.unjudged)}: these "
                              "objectives are left out of the plan."))
    return Section("plan", "The plan", [*blocks, _options(found), *_money(found)])


def _options(found: Answer) -> Table:
    columns = [Column("Option", numeric=False), Column("Replicas"), Column("A month", "USD"), Column("TTFT p95", "s"),
               Column("TTFT p99", "s"), Column("E2E p95", "s"), Column("E2E p99", "s"), Column("Utilisation"),
               Column("Objectives", numeric=False)]
    rows = []
    for one in found.options:
        rows.append(_row(option_name(one), one.plan.best, one.month_usd,
                         one.plan.best.replicas if one.plan.best else None))
        if one.plan.scaled:
            rows.append(_row(f"{option_name(one)}, autoscaled", one.plan.scaled, one.scaled_month_usd,
                             one.plan.paid_replicas))
    rows += [[name(f"{token.name}, by the token"), name(""), cell(token.usd_per_month, formats.usd, title=token.reason),
              *[name("")] * 5, name("not simulated")] for token in found.by_token]
    return Table(columns, rows, "**What is needed**, with 95 % intervals over the seeds. A month is 730 hours")


def _row(title: str, tried: Tried | None, usd: float | None, replicas: float | None) -> list[Cell]:
    if tried is None:
        return [name(title), *[Cell("n/a", None)] * 7, Cell("no number keeps them", "missed", "bad")]
    figures = tried.figures
    state = kept(tried)
    return [name(title), cell(replicas, count),
            cell(usd, formats.usd),
            *(_estimate(figures[key]) for key in ("ttft_p95", "ttft_p99", "e2e_p95", "e2e_p99")),
            cell(figures["utilisation"].value, formats.percent), Cell(state, state, MARKS[state])]


def _estimate(found: Estimate) -> Cell:
    if found.value != found.value:
        return Cell("n/a", None)
    return Cell(shown(found, formats.seconds), found.value)


def _money(found: Answer) -> Iterator[Chart]:
    bars = [(option_name(one), one.month_usd) for one in found.options]
    bars += [(f"{option_name(one)}, autoscaled", one.scaled_month_usd) for one in found.options if one.plan.scaled]
    bars += [(f"{one.name}, by the token", one.usd_per_month) for one in found.by_token]
    known = [(title, usd) for title, usd in bars if usd is not None]
    if len(known) > 1:
        points = [Point(place, usd, tip=f"{title}: {formats.usd(usd)} a month")
                  for place, (title, usd) in enumerate(known)]
        yield Chart("capacity_month", "A month of each option", "bar", Axis("Option", categories=[t for t, _ in known]),
                    Axis("A month", "USD"), [Series("USD a month", points)])


def _demand(found: Answer) -> Section:
    demand = found.demand
    at_s = np.linspace(0, demand.lasts_s, 193)
    per_s = np.interp(at_s, demand.at_s, demand.per_s)
    hours = demand.lasts_s >= 7200
    points = [Point(float(at) / (3600 if hours else 60), float(rate)) for at, rate in zip(at_s, per_s, strict=True)]
    text = (f"{literal(demand.text)}: {demand.mean_per_s:,.3g} requests a second on average, "
            f"{demand.peak_per_s:,.3g} at the "
            f"highest, {found.requests_per_month:,.0f} a month, of {demand.inputs.mean():,.0f} tokens in and "
            f"{demand.outputs.mean():,.0f} out on average.")
    blocks: list[Block] = [Paragraph(text)]
    if np.ptp(per_s) > 1e-6 * per_s.max():
        blocks.append(Chart("capacity_demand", "The demand", "xy", Axis("Time", "h" if hours else "min"),
                            Axis("Requests", "1/s"), [Series("requests a second", points, bare=True)]))
    return Section("demand", "The demand", blocks)


def _of_option(found: Answer, option: Option) -> Iterator[Section]:
    warnings = [*option.fitted.warnings, *option.remarks]
    blocks: list[Block] = [Callout("warn", "Mind", text[0].upper() + text[1:] + ".") for text in warnings]
    blocks += [*_fleet_charts(found, option), _fleets(found, option), *_share(option)]
    key = option.name.replace(" ", "-")
    yield Section(f"fleets-{key}", f"{option_name(option)}: fleets that were simulated", blocks)
    if over_time := list(scaling_section.blocks(found.demand, option)):
        yield Section(f"autoscaling-{key}", f"{option_name(option)}: autoscaling over time", over_time)
    yield Section(f"fit-{key}", f"{option_name(option)}: the model of one replica", [_model(option), _fit(option)])


def _fleet_charts(found: Answer, option: Option) -> Iterator[Chart]:
    """Each objective by the number of replicas, with its limit."""
    for objective in found.objectives:
        points = [Point(one.replicas, one.figures[objective.name].value, one.figures[objective.name].low,
                        one.figures[objective.name].high, mark=MARKS[kept(one)],
                        tip=f"{one.replicas:,} replicas: {shown(one.figures[objective.name], formats.seconds)}")
                  for one in option.plan.tried if one.figures[objective.name].value > 0]
        if len(points) > 1:
            unit = "" if objective.unit == "share" else objective.unit
            yield Chart(f"capacity_{objective.name}_{option.name.replace(' ', '_')}",
                        f"{objective.name} by replicas", "xy", Axis("Replicas"),
                        Axis(objective.name, unit, log=True), [Series(objective.name, points, bars=True)],
                        [Rule("y", objective.limit, f"limit {objective.limit:g} {unit}".strip())])


def _fleets(found: Answer, option: Option) -> Table:
    columns = [Column("Replicas"), *(Column(_title(key), "s") for key in _SHOWN), Column("Requests", "1/s"),
               Column("Utilisation"), Column("Busy", detail=True), Column("Slots taken", detail=True),
               Column("Lost", detail=True), Column("Simulated", detail=True), Column("Objectives", numeric=False)]
    rows = []
    for one in option.plan.tried:
        figures, state = one.figures, kept(one)
        rows.append([cell(one.replicas, formats.count), *(_estimate(figures[key]) for key in _SHOWN),
                     cell(figures["requests_per_s"].value / one.share, formats.significant),
                     *(cell(figures[key].value, formats.percent)
                       for key in ("utilisation", "busy", "slots_used", "error_rate")),
                     cell(one.simulated, formats.count), Cell(state, state, MARKS[state])])
    window = option.plan.window
    return Table(columns, rows, f"**Fleets**, {found.settings.routing.replace('_', ' ')}, over "
                 f"{formats.duration(window.end_s - window.begin_s)} of the demand from "
                 f"{formats.duration(window.begin_s)} on, its busiest part; {found.settings.seeds} seeds, fewer "
                 f"where a "
                 "fleet is far from its objectives")


def _title(key: str) -> str:
    metric, _, stat = key.partition("_")
    return f"{metric.upper()} {stat}"


def _share(option: Option) -> Iterator[Block]:
    best = option.plan.best
    if best and option.plan.share_error:
        name, off = max(option.plan.share_error.items(), key=lambda item: abs(item[1]))
        few = option.plan.searched
        serve = "" if best.simulated == best.replicas else " that serve"
        simulated = (f"All {best.simulated:,} replicas{serve} are simulated." if best.whole else
                     f"Of {best.replicas:,} replicas {best.simulated} are simulated, with their share of the demand.")
        left = "" if best.whole else (
            f" As this error falls as 1 ÷ replicas, about {option.plan.share_left:.1%} of it is left.")
        yield Paragraph(f"{simulated} With {few}, as many as the search simulates, the figures are at most "
                        f"{abs(off):.1%} off ({_title(name)}).{left}")


def _model(option: Option) -> Paragraph:
    model = option.fitted.model
    way = (f"prompts ride on steps, {model.chunk_tokens:,} tokens each at most" if model.batching == "chunked" else
           "prompts stop the decoding")
    varies = f", by chance some {formats.percent(model.jitter)} more or less" if model.jitter else ""
    late = (f", and wait for {model.admit_share:.0%} of the batch or {model.admit_steps} steps"
            if model.admit_steps else "")
    return Paragraph(
        f"A step lasts {model.step_fixed_s * 1e3:.3g} ms + {model.step_per_request_s * 1e3:.3g} ms a request + "
        f"{model.step_per_token_s * 1e6:.3g} µs a token held{varies}; a prompt takes "
        f"{model.prefill_fixed_s * 1e3:.3g} ms + "
        f"{model.prefill_per_token_s * 1e3:.3g} ms a token; {way}{late}; {model.slots} requests at the same time at "
        f"most; "
        f"{model.delay_fixed_s * 1e3:.3g} ms before a first token occupy nothing. It answers "
        f"{option.fitted.most_per_s:.3g} requests a second at the most, of the lengths that were measured. The fit is "
        f"{option.fitted.error:.1%} off on average.")


def _fit(option: Option) -> Table:
    columns = [Column("Stage"), Column("Load", numeric=False), Column("Figure", numeric=False), Column("Measured"),
               Column("Refitted"), Column("Error")]
    rows = []
    for row in option.fitted.rows:
        off: Mark | None = "warn" if abs(row.error) > 0.1 else None
        label = "requests/s" if row.figure == "requests_per_s" else f"{_title(row.figure)}, s"
        rows.append([cell(row.stage, formats.whole), name(row.load), name(label),
                     cell(row.measured, formats.significant), cell(row.refitted, formats.significant),
                     Cell(f"{row.error:+.1%}", row.error, off)])
    stages = len(option.fitted.rows) // len(FIGURES)
    return Table(columns, rows, f"**The fit's error**: {formats.several(stages, 'stage')} simulated with the model, "
                 "beside "
                 "what was measured", folded=stages > 4)
