"""Which resource was the limit, stage by stage; and what an accelerator and a joule gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from analysis import formats
from analysis.document import Axis, Block, Cell, Chart, Column, Paragraph, Point, Rule, Section, Series, Table
from analysis.formats import cell, name
from analysis.gauges import QUANTITIES, Gauge, Quantity, gauges_of
from analysis.health import health_of
from analysis.limits import limit_of, observed, tokens_per_joule
from analysis.load import Run
from analysis.naming import STAGE_COLUMNS, stage_cells
from analysis.pipeline import Analysis
from analysis.sections.timeline import start_ns
from analysis.table import StageResult
from analysis.telemetry import server_view
from analysis.utilisation import metered
from fmload.prices import accelerators_of

MOST_POINTS = 600
_COLUMNS = (
    *STAGE_COLUMNS, Column("Limit", numeric=False), Column("Evidence", numeric=False, wide=True),
    Column("Queue", "requests", "Median"), Column("Batch", "requests", "Median"), Column("KV cache", "", "Median"),
    Column("Accelerators", "busy", "Median"), Column("Output per accelerator", "tokens/s"),
    Column("Power", "W", "Mean"), Column("Output", "tokens/J"))
Gauges = Mapping[Quantity, Gauge]


def render(analysis: Analysis) -> Section | None:
    """A row a stage and one picture an endpoint. None where no telemetry was collected."""
    path = analysis.run.results.telemetry_parquet
    if not path.exists() or not analysis.results:
        return None
    entries = analysis.run.spec.get("telemetry") or []
    owners = {entry["name"]: entry.get("endpoint") for entry in entries}
    kinds = {entry["name"]: entry["collector"] for entry in entries}
    series = metered(path, still=True)
    endpoints = list(dict.fromkeys(result.endpoint for result in analysis.results))
    found = {endpoint: gauges_of((one for one in series if owners.get(one.source) in (None, endpoint)),
                                 _per_instance(analysis.results, endpoint), kinds) for endpoint in endpoints}
    if not any(found.values()):
        return None
    rows = [_row(result, found[result.endpoint], analysis.run) for result in analysis.results]
    blocks: list[Block] = [Paragraph(_EXPLAINED), Table(_COLUMNS, rows, "**The limit of each stage**")]
    blocks += [_timeline(endpoint, gauges, analysis) for endpoint, gauges in found.items() if gauges]
    return Section("limits", "What was the limit?", blocks)


_EXPLAINED = (
    "The first of these that the figures show: the load generator (by the audit); of the endpoint's own metrics the KV "
    "cache (preempted requests, or 90 % in use), the batch (requests wait beside a batch that is as large as it ever "
    "was), memory bandwidth (70 %) or the accelerators (90 % busy); the load generator's host (95 % of all its cores); "
    "else the load itself. A busy accelerator is not always a used one: its counters say "
    "that something ran, not how well.")


def _per_instance(results: Sequence[StageResult], endpoint: str) -> int | None:
    """Accelerators of one instance of the endpoint; None where its type is not known."""
    result = next(result for result in results if result.endpoint == endpoint)
    priced_as = result.pricing.instance_type if result.pricing else None
    return accelerators_of(priced_as or result.summary.endpoint.instance_type)


def _row(result: StageResult, gauges: Gauges, run: Run) -> list[Cell]:
    stage = result.summary.stage
    hosts = [worker.host_cpu_mean for worker in health_of(run, stage) if worker.host_cpu_mean is not None]
    seen = observed(gauges, stage.window_start_ns, stage.window_end_ns, server_view(run, stage).preemptions,
                    max(hosts, default=None))
    limit = limit_of(seen, [check.sentence for check in result.checks if check.client_bound])
    return [*stage_cells(result), name(limit.name), name(limit.evidence), cell(seen.waiting, formats.significant),
            cell(seen.running, formats.significant), cell(seen.kv_cache, formats.percent),
            cell(seen.accelerator, formats.percent),
            cell(result.value("output_tokens_per_s_per_accelerator"), formats.significant),
            cell(seen.power_w, formats.significant),
            cell(tokens_per_joule(result.value("output_tokens_per_s"), seen.power_w), formats.significant)]


def _timeline(endpoint: str, gauges: Gauges, analysis: Analysis) -> Chart:
    """Everything on one axis, each as a share of its highest value, which its name tells; stages marked."""
    origin = start_ns(analysis)
    results = [result for result in analysis.results if result.endpoint == endpoint]
    curves = {"Requests in flight": ("requests", _ours(results, "in_flight", origin)),
              "Output": ("tokens/s", _ours(results, "output_tokens", origin)),
              **{QUANTITIES[quantity][0]: (QUANTITIES[quantity][1], _theirs(gauge, origin))
                 for quantity, gauge in gauges.items()}}
    series = [_shares(title, unit, points, place)
              for place, (title, (unit, points)) in enumerate(curves.items()) if points]
    marks = [Rule("x", round((result.summary.stage.window_start_ns - origin) / 1e9, 1), str(result.stage))
             for result in results if result.summary.stage.window_start_ns]
    safe = "".join(letter if letter.isalnum() else "_" for letter in endpoint)
    return Chart(f"endpoint_timeline_{safe}", f"{endpoint} over the run, on one axis", "xy",
                 Axis("Time since the run began", "s"), Axis("Share, or part of the highest value"), series, marks)


def _ours(results: list[StageResult], column: str, origin_ns: int) -> list[tuple[float, float]]:
    points = []
    for result in results:
        timeline, shift = result.summary.timeline, (result.summary.stage.window_start_ns - origin_ns) / 1e9
        points += [(float(second) + shift, float(value)) for second, value in
                   zip(timeline.second, getattr(timeline, column), strict=True)]
    return sorted(points)


def _theirs(gauge: Gauge, origin_ns: int) -> list[tuple[float, float]]:
    return [((at - origin_ns) / 1e9, value) for at, value in
            zip(gauge.at_ns.tolist(), gauge.value.tolist(), strict=True) if at >= origin_ns and np.isfinite(value)]


def _shares(title: str, unit: str, points: list[tuple[float, float]], place: int) -> Series:
    """Shares as they are; other quantities by their highest value."""
    highest = 1.0 if unit == "share" else max(value for _, value in points) or 1.0
    named = title if unit == "share" else f"{title}, up to {formats.significant(highest)} {unit}"
    shown = points[::-(-len(points) // MOST_POINTS)]
    return Series(named, [Point(round(at, 1), value / highest) for at, value in shown], place, place, bare=True)
