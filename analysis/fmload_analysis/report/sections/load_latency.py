"""Concurrency (or arrival rate) against latency: where the endpoint begins to queue."""

from __future__ import annotations

from collections.abc import Sequence

from fmload.metrics.definitions import METRICS, Metric
from fmload.search.knee import Point as Point_
from fmload.search.knee import knee_of
from fmload_analysis.document import formats
from fmload_analysis.document.document import Axis, Block, Chart, Paragraph, Point, Rule, Section
from fmload_analysis.document.questions import QUEUE
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import Line, as_series, kinds, lines, load_axis, load_value, stage_name
from fmload_analysis.verdict.table import StageResult

FEWEST = 3  # levels of a load that show a knee
SHOWN = ("e2e", "ttft", "tpot")


def render(analysis: Analysis) -> Section | None:
    """One chart a metric and kind of load: the median, and a band from it up to p95."""
    found = lines(analysis)
    charts: list[Block] = [chart for kind in kinds(found) for name in SHOWN
                           if (chart := against_load(METRICS[name], kind, found, analysis)).series]
    if not charts:
        return None
    explained = Paragraph("The line is the median; the band reaches up to p95 where there are enough samples.")
    return Section("load-latency", "Load against latency", [explained, *charts], QUEUE, _gist(found))


def _gist(found: Sequence[Line]) -> str:
    """Where the knee of each line lies, by the rule of the search for it."""
    told = []
    for line in found:
        points = [Point_(load_value(result), rate, latency) for result in line.results
                  if (rate := result.value("requests_per_s")) and (latency := result.value("e2e_mean"))]
        if len(points) < FEWEST:
            continue
        knee, around = knee_of(points)
        label = next(result for result in line.results if load_value(result) == knee.load).summary.stage.load_label
        told.append(f"{line.name}: not up to {label}, the highest load." if around.high is None else
                    f"{line.name}: beyond {label} mostly waiting grows.")
    return formats.first(told) or "Not known: it takes three levels of load to see it."


def against_load(metric: Metric, kind: str, found: list[Line], analysis: Analysis) -> Chart:
    """The metric's median of each level, with a band up to p95."""
    scale = metric.display_scale
    axis = load_axis(kind, found)
    series = [as_series(line, found, [point for result in line.results if (point := _point(result, metric, scale))])
              for line in found if line.kind == kind]
    return Chart(
        f"{metric.name}_by_{kind}", f"{metric.title} against {axis.label.lower()}", "xy", axis,
        Axis(f"{metric.title} p50", metric.display_unit), [each for each in series if each.points],
        limits(analysis, metric, scale))


def _point(result: StageResult, metric: Metric, scale: float) -> Point | None:
    median, p95 = result.value(f"{metric.name}_p50"), result.value(f"{metric.name}_p95")
    if median is None:
        return None
    p95 = p95 if result.is_known(f"{metric.name}_p95") else None
    return Point(load_value(result), median * scale, None if p95 is None else median * scale,
                 None if p95 is None else p95 * scale, tip=stage_name(result))


def limits(analysis: Analysis, metric: Metric, scale: float) -> list[Rule]:
    """The objectives on this metric as lines across the chart."""
    return [Rule("y", objective.limit * scale, f"{objective.name} ≤ {formats.limit(objective.limit)}")
            for objective in analysis.objectives if objective.metric == metric.name]
