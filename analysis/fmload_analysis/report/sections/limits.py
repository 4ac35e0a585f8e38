"""Which resource was the limit, stage by stage; and what an accelerator and a joule gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fmload.pricing.table import accelerators_of
from fmload_analysis.document import formats
from fmload_analysis.document.document import Axis, Block, Cell, Chart, Column, Paragraph, Point, Section, Series, Table
from fmload_analysis.document.formats import cell, name
from fmload_analysis.document.questions import LIMIT
from fmload_analysis.report.sections.timeline import stage_marks, start_ns, time_axis
from fmload_analysis.run import Run
from fmload_analysis.stage.gauges import QUANTITIES, Gauge, Quantity, gauges_of
from fmload_analysis.stage.health import health_of
from fmload_analysis.stage.telemetry import server_view
from fmload_analysis.stage.utilisation import metered
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.limits import limit_of, observed, tokens_per_joule
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.table import StageResult

MOST_POINTS = 600
STILL = 0.02  # memory that moves by no more than this part of itself makes no picture
_LIMITS = (*STAGE_COLUMNS, Column("Limit", numeric=False), Column("Evidence", numeric=False, wide=True))
_MEDIANS = (
    *STAGE_COLUMNS, Column("Queue", "requests"), Column("Batch", "requests"), Column("KV cache", "in use"),
    Column("Accelerators", "busy"), Column("Memory", "GiB", "Of all accelerators"),
    Column("Output", "tokens/s each", "Output tokens a second and accelerator"), Column("Power", "W", "Mean"),
    Column("Output", "tokens/J"))
# Pictures of one endpoint, each with its unit: those of our own figures and of the endpoint's that it holds.
_PICTURES: tuple[tuple[str, str, tuple[str, ...], tuple[Quantity, ...]], ...] = (
    ("requests", "", ("in_flight",), ("running", "waiting")),
    ("output", "tokens/s", ("output_tokens",), ()),
    ("in use", "share", (), ("kv_cache", "accelerator", "memory_bandwidth")),
    ("accelerator memory", "GiB", (), ("memory",)),
    ("power", "W", (), ("power",)))
_OURS = {"in_flight": "In flight, by the client", "output_tokens": "Output tokens"}
Gauges = Mapping[Quantity, Gauge]


def render(analysis: Analysis) -> Section | None:
    """Two rows a stage and the pictures of each endpoint; without telemetry what the client's side shows. None
    without stages."""
    path = analysis.run.results.telemetry_parquet
    if not analysis.results:
        return None
    entries = analysis.run.spec.get("telemetry") or []
    owners = {entry["name"]: entry.get("endpoint") for entry in entries}
    kinds = {entry["name"]: entry["collector"] for entry in entries}
    series = metered(path, still=True) if path.exists() else []
    endpoints = list(dict.fromkeys(result.endpoint for result in analysis.results))
    found = {endpoint: gauges_of((one for one in series if owners.get(one.source) in (None, endpoint)),
                                 _per_instance(analysis.results, endpoint), kinds) for endpoint in endpoints}
    rows = [_rows(result, found[result.endpoint], analysis.run) for result in analysis.results]
    limits = [limit for limit, _ in rows]
    blocks: list[Block] = [Paragraph(_EXPLAINED), Table(_LIMITS, limits, "**The limit of each stage**")]
    if not any(found.values()):
        return Section("limits", "The limit of each stage", [*blocks, Paragraph(_SILENT)], LIMIT, _gist(limits))
    blocks.append(_told([medians for _, medians in rows]))
    blocks.append(Paragraph("Over the run, dashed where the window of the stage of that number begins:"))
    blocks += [chart for endpoint, gauges in found.items() if gauges for chart in _pictures(endpoint, gauges, analysis)]
    return Section("limits", "The limit of each stage", blocks, LIMIT, _gist(limits))


_SILENT = (
    "No endpoint told of its queue, batch, cache or accelerators: `telemetry:` in the run file has them read beside "
    "the load (`fmload help telemetry`).")


def _gist(limits: Sequence[Sequence[Cell]]) -> str:
    """`load in 3 stages, batch size in 2 stages.`"""
    found = Counter(row[len(STAGE_COLUMNS)].text for row in limits)
    if set(found) == {"unknown"}:
        return "Not known: no endpoint told of its queue, cache or accelerators."
    return ", ".join(f"{limit} in {formats.several(count, 'stage')}" for limit, count in found.most_common()) + "."


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


def _rows(result: StageResult, gauges: Gauges, run: Run) -> tuple[list[Cell], list[Cell]]:
    """The limit, and the figures of which it was found."""
    stage = result.summary.stage
    hosts = [worker.host_cpu_mean for worker in health_of(run, stage) if worker.host_cpu_mean is not None]
    seen = observed(gauges, stage.window_start_ns, stage.window_end_ns, server_view(run, stage).preemptions,
                    max(hosts, default=None))
    limit = limit_of(seen, [check.sentence for check in result.checks if check.client_bound])
    memory = gauges["memory"].within(stage.window_start_ns, stage.window_end_ns) if "memory" in gauges else np.array([])
    return [*stage_cells(result), name(limit.name), name(limit.evidence)], [
        *stage_cells(result), cell(seen.waiting, formats.significant), cell(seen.running, formats.significant),
        cell(seen.kv_cache, formats.percent), cell(seen.accelerator, formats.percent),
        cell(float(np.median(memory)) if len(memory) else None, formats.significant),
        cell(result.value("output_tokens_per_s_per_accelerator"), formats.significant),
        cell(seen.power_w, formats.significant),
        cell(tokens_per_joule(result.value("output_tokens_per_s"), seen.power_w), formats.significant)]


def _told(rows: list[list[Cell]]) -> Table:
    """Without the columns of which no stage tells."""
    kept = [place for place in range(len(_MEDIANS))
            if place < len(STAGE_COLUMNS) or any(row[place].text != formats.ABSENT for row in rows)]
    return Table([_MEDIANS[place] for place in kept], [[row[place] for place in kept] for row in rows],
                 "**What the endpoint told**: medians of each stage")


def _pictures(endpoint: str, gauges: Gauges, analysis: Analysis) -> Iterator[Chart]:
    """One under the other over the same seconds, with the beginning of each stage's window marked."""
    origin = start_ns(analysis)
    results = [result for result in analysis.results if result.endpoint == endpoint]
    last_s = max((max(stage.drain_end_ns, stage.window_end_ns) - origin) / 1e9
                 for stage in (result.summary.stage for result in results))
    marks = stage_marks((result.summary.stage for result in results), origin)
    safe = "".join(letter if letter.isalnum() else "_" for letter in endpoint)
    for title, unit, ours, theirs in _PICTURES:
        curves = {_OURS[column]: _ours(results, column, origin) for column in ours}
        curves |= {QUANTITIES[quantity][0]: _theirs(gauges[quantity], origin) for quantity in theirs
                   if quantity in gauges and (quantity != "memory" or _moves(gauges[quantity]))}
        series = [Series(curve, [Point(round(at, 1), value) for at, value in _thinned(points) if 0 <= at <= last_s],
                         place, place, bare=True) for place, (curve, points) in enumerate(curves.items()) if points]
        if series:
            yield Chart(f"endpoint_{title.replace(' ', '_')}_{safe}", f"{endpoint}: {title}", "xy",
                        time_axis(analysis), Axis(title.capitalize(), unit), series, marks)


def _moves(gauge: Gauge) -> bool:
    return bool(np.ptp(gauge.value) > STILL * np.max(np.abs(gauge.value)))


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


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return points[::-(-len(points) // MOST_POINTS)]
