"""Latency against the size of the prompt, one small chart for each level of load."""

from __future__ import annotations

import numpy as np

from fmload.metrics.definitions import METRICS
from fmload_analysis.document.document import Axis, Block, Chart, Paragraph, Point, Section
from fmload_analysis.document.questions import ONE_USER
from fmload_analysis.report.sections.load_latency import limits
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import Line, as_series, lines, load_value
from fmload_analysis.verdict.table import StageResult

POINTS_IN_ALL = 3_000  # of a chart; more would tell nothing more and open slowly
MOST_PANELS = 12


def render(analysis: Analysis) -> Section | None:
    """A point a request, drawn evenly from each stage."""
    found = lines(analysis)
    levels = _levels(found)
    blocks: list[Block] = [chart for name in ("e2e", "ttft") if (chart := _chart(name, found, levels, analysis)).series]
    explained = Paragraph("A point is a request that succeeded.")
    return Section("prompt-size", "Prompt size against latency", [explained, *blocks], ONE_USER) if blocks else None


def _levels(found: list[Line]) -> list[str]:
    by_load = {result.summary.stage.load_label: load_value(result) for line in found for result in line.results}
    ordered = sorted(by_load, key=lambda label: by_load[label])
    step = -(-len(ordered) // MOST_PANELS) if ordered else 1
    return ordered[::step]


def _chart(name: str, found: list[Line], levels: list[str], analysis: Analysis) -> Chart:
    metric = METRICS[name]
    scale = metric.display_scale
    shown = [(line, result) for level in levels for line in found for result in line.results
             if result.summary.stage.load_label == level]
    each = max(20, POINTS_IN_ALL // max(1, len(shown)))
    series = [as_series(line, found, _points(result, name, each, scale), joined=False,
                        panel=result.summary.stage.load_label) for line, result in shown]
    return Chart(f"{name}_by_prompt_size", f"{metric.title} against prompt size, by load", "xy",
                 Axis("Prompt", "tokens"), Axis(metric.title, metric.display_unit),
                 [one for one in series if one.points], limits(analysis, metric, scale))


def _points(result: StageResult, name: str, most: int, scale: int) -> list[Point]:
    sample = result.summary.sample
    sizes, values = sample.metrics["input_tokens"], sample.metrics[name]
    kept = np.flatnonzero(sample.succeeded & ~np.isnan(sizes) & ~np.isnan(values))
    picked = kept[np.unique(np.linspace(0, len(kept) - 1, min(len(kept), most)).astype(int))] if len(kept) else kept
    return [Point(float(sizes[row]), round(float(values[row]) * scale, 4)) for row in picked]
