"""What the endpoints told of themselves while they were measured: queue, batch, cache, devices, throughput."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from fmload_analysis.document import formats
from fmload_analysis.document.document import (
    Axis,
    Block,
    Callout,
    Cell,
    Chart,
    Column,
    Paragraph,
    Point,
    Section,
    Series,
    Table,
    literal,
)
from fmload_analysis.document.formats import cell, name
from fmload_analysis.document.questions import LIMIT
from fmload_analysis.report.sections.timeline import stage_marks, start_ns, time_axis
from fmload_analysis.stage.gauges import QUANTITIES
from fmload_analysis.stage.utilisation import Metered, metered
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import stage_name
from fmload_analysis.verdict.table import StageResult

MOST_CHARTS = 6
MOST_POINTS = 800
_QUARTERS = (0, 25, 50, 75, 100)
_COLUMNS = (Column("Stage", numeric=False), Column("Source", numeric=False), Column("Metric", numeric=False),
            Column("Labels", numeric=False), Column("n"), Column("min"), Column("25 %"), Column("50 %"),
            Column("75 %"), Column("max"))


def render(analysis: Analysis) -> Section | None:
    """Utilisation by stage and over time. None where no telemetry was collected."""
    results = analysis.run.results
    if not results.telemetry_parquet.exists():
        return None
    series = metered(results.telemetry_parquet)
    blocks: list[Block] = [*_problems(analysis)]
    if series:
        blocks += [Paragraph("Gauges as they were scraped, counters as rates; stages by their measurement windows."),
                   *_charts(series, analysis), Table(_COLUMNS, _rows(series, analysis), "**Utilisation by stage**")]
    return Section("endpoint-metrics", "Endpoint metrics", blocks, LIMIT) if blocks else None


def _problems(analysis: Analysis) -> list[Callout]:
    path = analysis.run.results.telemetry_problems_json
    if not path.exists():
        return []
    told = [f"{literal(source)}: {_problem(problem)}" for source, problem in json.loads(path.read_text()).items()]
    return [Callout("warn", "Collectors that failed", "; ".join(told))]


def _problem(problem: Mapping[str, Any]) -> str:
    remedy = f"; {problem['hint']}" if problem.get("hint") else ""
    return f"{literal(problem['message'])} ({formats.several(problem['times'], 'time')}{remedy})"


def _rows(series: list[Metered], analysis: Analysis) -> list[list[Cell]]:
    owners = {entry["name"]: entry.get("endpoint") for entry in analysis.run.spec.get("telemetry") or []}
    return [row for result in analysis.results for one in series
            if owners.get(one.source) in (None, result.endpoint) and (row := _row(result, one)) is not None]


def _row(result: StageResult, one: Metered) -> list[Cell] | None:
    stage = result.summary.stage
    if not stage.window_start_ns:
        return None
    values = one.within(stage.window_start_ns, stage.window_end_ns)
    if not values.size:
        return None
    quarters = np.percentile(values, _QUARTERS, method="inverted_cdf")
    return [name(stage_name(result)), name(one.source), Cell(literal(one.metric), one.metric),
            Cell(literal(one.labels) if one.labels else ""), cell(len(values), formats.count),
            *(cell(float(value), formats.significant) for value in quarters)]


def _charts(series: list[Metered], analysis: Analysis) -> list[Chart]:
    """Of what moved, the most telling that the section on the limit does not draw already."""
    drawn = {metric for _, _, _, metrics in QUANTITIES.values() for metric in metrics}
    by_metric: dict[str, list[Metered]] = {}
    for one in series:
        if np.ptp(one.value) > 0:
            by_metric.setdefault(one.metric, []).append(one)
    chosen = [metric for metric, parts in by_metric.items() if len(parts) > 1 or metric not in drawn][:MOST_CHARTS]
    return [_chart(metric, by_metric[metric], analysis) for metric in chosen]


def _chart(metric: str, series: list[Metered], analysis: Analysis) -> Chart:
    origin_ns = start_ns(analysis)
    drawn = [Series(" ".join(filter(None, (one.source, one.labels))), _points(one, origin_ns), place, place, bare=True)
             for place, one in enumerate(series)]
    marks = stage_marks(analysis.run.stages, origin_ns)
    safe = "".join(letter if letter.isalnum() else "_" for letter in metric)
    return Chart(f"endpoint_{safe}", metric, "xy", time_axis(analysis),
                 Axis("Rate", "1/s") if metric.endswith("/s") else Axis("Value"), drawn, marks)


def _points(one: Metered, origin_ns: int) -> list[Point]:
    stride = -(-len(one.at_ns) // MOST_POINTS)
    pairs = zip(one.at_ns[::stride].tolist(), one.value[::stride].tolist(), strict=True)
    return [Point(round((at - origin_ns) / 1e9, 1), value) for at, value in pairs if at >= origin_ns]
