"""Writes the report of an analysis: report.md with its figures, report.html, and the headline on the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from analysis import formats, html, markdown, plots
from analysis.document import Chart, Section
from analysis.pipeline import Analysis
from analysis.sections import rendered
from analysis.sections.headline import emulated
from analysis.table import StageResult

_COLORS = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}


def render(analysis: Analysis) -> tuple[Path, Path]:
    """Write report.md, figures/ and report.html into the results folder; returns the paths of the two reports."""
    results, sections = analysis.run.results, list(rendered(analysis))
    draw(sections, results.figures)
    results.report_md.write_text(_markdown(analysis, sections), encoding="utf-8")
    results.report_html.write_text(html.render(_title(analysis), _subtitle(analysis), sections), encoding="utf-8")
    return results.report_md, results.report_html


def draw(sections: list[Section], folder: Path) -> list[Path]:
    """Save every chart of the sections as PNG; returns the paths."""
    charts = [block for section in sections for block in section.blocks if isinstance(block, Chart)]
    return [path for chart in charts if (path := plots.save(chart, folder))]


def _markdown(analysis: Analysis, sections: list[Section]) -> str:
    head, _, rest = markdown.render(_title(analysis), sections).partition("\n\n")
    return f"{head}\n\n{_subtitle(analysis)} · [interactive report](report.html)\n\n{rest}"


def _title(analysis: Analysis) -> str:
    chosen = (analysis.run.spec.get("report") or {}).get("title")
    return str(chosen or analysis.run.name)


def _subtitle(analysis: Analysis) -> str:
    run = analysis.run
    version = run.environment.get("fmload")
    parts = ["Load test of foundation-model endpoints", formats.several(len(analysis.results), "stage"),
             f"{run.started_utc} UTC" if run.started_utc else "", f"fmload {version}" if version else ""]
    return " · ".join(part for part in parts if part)


def headline(analysis: Analysis) -> RenderableType:
    """The stages as a table and the recommendations below it, for the terminal."""
    table = RichTable(title=_title(analysis), title_justify="left", header_style="bold")
    for label in ("endpoint", "prompts"):
        table.add_column(label)
    for label in ("load", "requests", "errors", "TTFT p50", "TPOT p50", "E2E p50", "E2E p95", "tokens/s", "$/10k",
                  "$/1M out", "objectives", "audit"):
        table.add_column(label, justify="right")
    best = {found.best.stage for found in analysis.best if found.best}
    for result in analysis.results:
        table.add_row(*_row(result), style="bold" if result.stage in best else None)
    notes = [Text(f"EMULATED: {endpoint} imitates {what}", style="yellow")
             for endpoint, what in emulated(analysis).items()]
    return Group(table, *notes, *(Text(found.sentence) for found in analysis.best))


def _row(result: StageResult) -> list[RenderableType]:
    met = {True: Text("met", "green"), False: Text("missed", "red"), None: Text("–")}[result.meets_objectives]
    latencies = (result.value(name) for name in ("ttft_p50", "tpot_p50", "e2e_p50", "e2e_p95"))
    cost = result.cost
    return [
        result.endpoint, result.prompt_set, result.summary.stage.load_label,
        formats.count(result.totals.succeeded + result.totals.failed),
        formats.text(result.value("error_rate"), formats.percent),
        *(formats.text(value, formats.duration) for value in latencies),
        formats.text(result.value("output_tokens_per_s"), formats.significant),
        formats.text(cost.price_per_10k_transactions, formats.usd),
        formats.text(cost.price_per_1m_output_tokens, formats.usd), met, Text(result.audit, _COLORS[result.audit])]
