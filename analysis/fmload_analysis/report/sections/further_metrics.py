"""Metrics of other distributions: one table, a row a stage."""

from __future__ import annotations

from fmload.metrics.definitions import METRICS, Metric
from fmload_analysis.document import formats
from fmload_analysis.document.document import Cell, Column, Section, Table
from fmload_analysis.document.questions import OTHER
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.table import StageResult

_SHOWN = ("p50", "p95")


def render(analysis: Analysis) -> Section | None:
    """None where no other distribution has metrics, or there is no stage."""
    if not METRICS.further or not analysis.results:
        return None
    columns = [*STAGE_COLUMNS, *(Column(label) for metric in METRICS.further for label in _labels(metric))]
    rows = [[*stage_cells(result), *(cell for metric in METRICS.further for cell in _cells(result, metric))]
            for result in analysis.results]
    return Section("further-metrics", "Further metrics", [Table(columns, rows, "**Metrics of extensions**")], OTHER)


def _labels(metric: Metric) -> list[str]:
    stats = [""] if metric.level == "stage" else [f" {stat}" for stat in _SHOWN]
    return [f"{metric.title}{stat}, {metric.display_unit}" for stat in stats]


def _cells(result: StageResult, metric: Metric) -> list[Cell]:
    names = [metric.name] if metric.level == "stage" else [f"{metric.name}_{stat}" for stat in _SHOWN]
    values = [result.value(name) for name in names]
    return [formats.cell(None if value is None else value * metric.display_scale, formats.significant)
            for value in values]
