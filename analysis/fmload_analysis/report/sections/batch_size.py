"""Which batch size: inputs a second and latency of every number of inputs a request, at every load."""

from __future__ import annotations

from collections.abc import Sequence

from fmload.metrics.definitions import METRICS
from fmload_analysis.document import formats
from fmload_analysis.document.document import Axis, Cell, Chart, Column, Paragraph, Point, Section, Series
from fmload_analysis.document.formats import cell, name
from fmload_analysis.document.questions import BATCH
from fmload_analysis.report.sections.load_latency import limits
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.capacity import best_by, within_objectives
from fmload_analysis.verdict.figures import Figure, stage_table
from fmload_analysis.verdict.naming import stage_name
from fmload_analysis.verdict.table import StageResult

_EXPLAINED = (
    "A request of more inputs does more at once and takes longer: the best batch is the one with the most inputs a "
    "second whose latency is still good enough. A line is one load, its points the batch sizes.")
_NAMES = (Column("Endpoint", numeric=False), Column("Batch", "inputs"), Column("Load", numeric=False))
_SHOWN = (
    Figure("inputs_per_s", "Inputs", "1/s", formats.significant),
    Figure("input_tokens_per_s", "Input", "tokens/s", formats.significant),
    Figure("requests_per_s", "Requests", "1/s", formats.significant),
    Figure("e2e_p50", "E2E p50", "s", formats.seconds), Figure("e2e_p95", "E2E p95", "s", formats.seconds),
    Figure("e2e_p99", "E2E p99", "s", formats.seconds),
    Figure("price_per_1m_inputs", "1M inputs", "USD", formats.usd))


def render(analysis: Analysis) -> Section | None:
    """None where no request had inputs."""
    found = sorted((result for result in analysis.results if result.embeds and result.value("inputs_mean")), key=_order)
    if not found:
        return None
    chart = _chart(found, analysis)
    return Section("batch-size", "Inputs a request", [
        Paragraph(_EXPLAINED), *([chart] if chart.series else []),
        stage_table(found, _SHOWN, "**By batch size and load**", _NAMES, _named)], BATCH, _gist(found))


def batch_text(value: float) -> str:
    """A mean batch size as people write it: 16, or 12.5 where requests differ."""
    return f"{value:,.4g}" if value < 10_000 else f"{value:,.0f}"


def _order(result: StageResult) -> tuple[str, float, float]:
    return result.endpoint, result.value("inputs_mean") or 0.0, float(result.summary.stage.load.value)


def _named(result: StageResult) -> list[Cell]:
    return [name(result.endpoint), cell(result.value("inputs_mean"), batch_text), name(result.summary.stage.load_label)]


def _gist(found: Sequence[StageResult]) -> str:
    """The batch size with the most inputs a second within the objectives, and what it costs in latency."""
    return formats.first([
        _best_text(best) if best else f"{endpoint}: no batch size met the objectives."
        for endpoint, best in best_by("inputs_per_s", found).items()])


def _best_text(best: StageResult) -> str:
    stat = "p95" if best.is_known("e2e_p95") else "p50"
    return (f"{best.endpoint}: {batch_text(best.value('inputs_mean') or 0.0)} inputs a request at "
            f"{best.summary.stage.load_label} give the most{within_objectives(best)}, "
            f"{formats.significant(best.value('inputs_per_s') or 0.0)} inputs a second at E2E {stat} "
            f"{formats.duration(best.value(f'e2e_{stat}') or 0.0)}.")


def _chart(found: Sequence[StageResult], analysis: Analysis) -> Chart:
    """Inputs a second against the latency: a line each endpoint and load, over the batch sizes."""
    several = len({result.endpoint for result in found}) > 1
    groups: dict[tuple[str, str], list[StageResult]] = {}
    for result in found:
        groups.setdefault((result.endpoint, result.summary.stage.load_label), []).append(result)
    series = [Series(f"{endpoint} · {load}" if several else load, [
        Point(rate, latency, tip=f"{batch_text(result.value('inputs_mean') or 0.0)} inputs a request; "
                                 f"{stage_name(result)}")
        for result in results if (rate := result.value("inputs_per_s")) is not None
        and (latency := result.value("e2e_p50")) is not None], place)
        for place, ((endpoint, load), results) in enumerate(groups.items())]
    return Chart("inputs_latency", "Inputs a second against latency, by batch size", "xy", Axis("Inputs", "a second"),
                 Axis("E2E latency p50", "s"), [each for each in series if each.points],
                 limits(analysis, METRICS["e2e"], 1.0))
