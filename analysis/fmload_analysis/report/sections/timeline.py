"""The run over time: tokens and requests in flight by the second, and what befell it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict

from fmload.model.stage import Stage
from fmload_analysis.document.document import (
    Axis,
    Block,
    Cell,
    Chart,
    Column,
    Paragraph,
    Point,
    Rule,
    Section,
    Series,
    Table,
    literal,
)
from fmload_analysis.document.formats import duration, name
from fmload_analysis.document.questions import LIMIT
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import Line, lines
from fmload_analysis.verdict.table import StageResult, without_text

MOST_POINTS = 4_000  # of a chart
SIDE_BY_SIDE_S = 0.5  # windows that began so close began together

_EVENT_COLUMNS = (
    Column("Time", title="Since the run's first stage began"), Column("Event", numeric=False), Column("Stage"),
    Column("Worker", numeric=False), Column("Detail", numeric=False, wide=True))
_BAD = {"endpoint_degraded", "worker_lost", "worker_frozen", "journal_failed", "endpoint_dead", "interrupted"}


def render(analysis: Analysis) -> Section | None:
    """Two charts and the list of events. None when nothing happened at all."""
    found = lines(analysis)
    blocks: list[Block] = [chart for chart in (
        _chart("tokens_over_time", "Output tokens by the second", "tokens/s", "output_tokens", found, analysis),
        _chart("in_flight_over_time", "Requests in flight", "requests", "in_flight", found, analysis))
        if chart.series and not (chart.name == "tokens_over_time" and without_text(analysis.results))]
    if blocks:
        blocks.insert(0, Paragraph("Warm-up and drain are in the picture; only the windows are in the figures."))
    events = _events(analysis)
    if events:
        blocks.append(Table(_EVENT_COLUMNS, events, "**Events of the run**"))
    return Section("timeline", "The run over time", blocks, LIMIT) if blocks else None


def start_ns(analysis: Analysis) -> int:
    """The instant at which the first stage began, on the master's clock; 0 when none did."""
    begun = [stage.ramp_start_ns or stage.warmup_start_ns or stage.window_start_ns for stage in analysis.run.stages]
    return min((instant for instant in begun if instant), default=0)


def time_axis(analysis: Analysis) -> Axis:
    """Seconds from the run's first stage to the end of its last: one axis for all charts over time."""
    last_ns = max((max(stage.drain_end_ns, stage.window_end_ns) for stage in analysis.run.stages), default=0)
    last_s = round((last_ns - start_ns(analysis)) / 1e9, 1)
    return Axis("Time since the run began", "s", span=(0.0, last_s) if last_s > 0 else None)


def stage_marks(stages: Iterable[Stage], origin_ns: int) -> list[Rule]:
    """A rule where each window began, in seconds after the origin; stages that ran side by side share one."""
    names: dict[float, list[str]] = {}
    for stage in sorted(stages, key=lambda stage: stage.window_start_ns):
        at_s = round((stage.window_start_ns - origin_ns) / 1e9, 1)
        near = next(reversed(names), -math.inf)
        if stage.window_start_ns:
            names.setdefault(near if at_s - near <= SIDE_BY_SIDE_S else at_s, []).append(str(stage.stage))
    return [Rule("x", at_s, ", ".join(told)) for at_s, told in names.items()]


def _chart(file_name: str, title: str, unit: str, column: str, found: list[Line], analysis: Analysis) -> Chart:
    seconds = sum(len(result.summary.timeline.second) for line in found for result in line.results)
    stride = max(1, math.ceil(seconds / MOST_POINTS))
    origin = start_ns(analysis)
    endpoints = {line.endpoint: line.color for line in found}
    series = [Series(line.endpoint, points, endpoints[line.endpoint], bare=True) for line in found
              for result in line.results if (points := _points(result, column, origin, stride))]
    return Chart(file_name, title, "xy", time_axis(analysis), Axis(title, unit), series)


def _points(result: StageResult, column: str, origin_ns: int, stride: int) -> list[Point]:
    timeline, stage = result.summary.timeline, result.summary.stage
    shift = (stage.window_start_ns - origin_ns) / 1e9
    values = getattr(timeline, column)
    return [Point(round(second + shift, 1), value, tip=f"stage {result.stage}") for second, value in
            zip(timeline.second[::stride].tolist(), values[::stride].tolist(), strict=True)]


def _events(analysis: Analysis) -> list[list[Cell]]:
    marks = [{**asdict(mark), "stage": stage.stage} for stage in analysis.run.stages for mark in stage.marks]
    seen: set[tuple[object, ...]] = set()
    rows = []
    for event in sorted([*analysis.run.events, *marks], key=lambda each: each.get("at_ns") or 0):
        key = (event.get("kind"), event.get("at_ns"), event.get("worker"))
        if key not in seen:
            seen.add(key)
            rows.append(_event(event, start_ns(analysis)))
    return rows


def _event(event: dict[str, object] | object, origin_ns: int) -> list[Cell]:
    fields = dict(event) if isinstance(event, dict) else {}
    at, kind, stage = fields.get("at_ns"), str(fields.get("kind", "")), fields.get("stage")
    since = (float(at) - origin_ns) / 1e9 if isinstance(at, int | float) and at else None
    return [Cell("n/a" if since is None else duration(since), since), Cell(kind, kind, "bad" if kind in _BAD else None),
            Cell("" if stage is None else str(stage)), name(fields.get("worker")),
            Cell(literal(fields.get("detail") or ""))]
