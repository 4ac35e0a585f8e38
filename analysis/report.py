"""Writes the report of an analysis: report.md with its figures, report.html, and the headline on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from analysis import formats, html, markdown, plots
from analysis.document import Chart, Section
from analysis.pipeline import Analysis
from analysis.searches import searches
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
             f"{_minute(run.started_utc)} UTC" if run.started_utc else "", f"fmload {version}" if version else ""]
    return " · ".join(part for part in parts if part)


def _minute(instant: str) -> str:
    """2026-11-20 21:29, of an ISO instant."""
    return instant.replace("T", " ")[:16]


def headline(analysis: Analysis) -> RenderableType:
    """The stages as a table and the recommendations below it, for the terminal."""
    notes = [Text(f"EMULATED: {endpoint} imitates {what}", style="yellow")
             for endpoint, what in emulated(analysis).items()]
    found = [Text(f"{one.endpoint} · {one.prompt_set}: {one.sentence}", style="bold")
             for one in searches(analysis.run.stages)]
    return Group(_StageTable(analysis), *notes, *found, *(Text(found.sentence) for found in analysis.best))


@dataclass(frozen=True, slots=True)
class _StageTable:
    """The stages, with as many columns as the terminal holds; `_COLUMNS` says which go first."""

    analysis: Analysis

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for last in range(max(rank for rank, _ in _COLUMNS.values()), -1, -1):
            table = self._table([label for label, (rank, _) in _COLUMNS.items() if rank <= last])
            if console.measure(table, options=options.update(max_width=10_000)).maximum <= options.max_width:
                break
        yield table

    def _table(self, labels: list[str]) -> RichTable:
        table = RichTable(title=_title(self.analysis), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
                          padding=(0, 1), collapse_padding=True, pad_edge=False)
        for label in labels:
            table.add_column(label, justify="left" if label in ("endpoint", "prompts") else "right", no_wrap=True)
        best = {found.best.stage for found in self.analysis.best if found.best}
        for result in self.analysis.results:
            style = "bold" if result.stage in best else None
            table.add_row(*(_COLUMNS[label][1](result) for label in labels), style=style)
        return table


def _figure(name: str, form: formats.Format) -> Callable[[StageResult], RenderableType]:
    return lambda result: formats.text(result.value(name), form)


def _met(result: StageResult) -> RenderableType:
    return {True: Text("met", "green"), False: Text("missed", "red"), None: Text("–")}[result.meets_objectives]


# label: (rank: the higher, the sooner it is left out, its cell)
_COLUMNS: dict[str, tuple[int, Callable[[StageResult], RenderableType]]] = {
    "endpoint": (0, lambda result: result.endpoint),
    "prompts": (0, lambda result: result.prompt_set),
    "load": (0, lambda result: result.summary.stage.load_label),
    "requests": (5, lambda result: formats.count(result.totals.succeeded + result.totals.failed)),
    "errors": (2, _figure("error_rate", formats.percent)),
    "TTFT p50": (3, _figure("ttft_p50", formats.duration)),
    "TPOT p50": (6, _figure("tpot_p50", formats.duration)),
    "E2E p50": (1, _figure("e2e_p50", formats.duration)),
    "E2E p95": (4, _figure("e2e_p95", formats.duration)),
    "tokens/s": (5, _figure("output_tokens_per_s", formats.significant)),
    "$/10k": (0, _figure("price_per_10k_transactions", formats.usd)),
    "$/1M out": (6, _figure("price_per_1m_output_tokens", formats.usd)),
    "objectives": (1, _met),
    "audit": (0, lambda result: Text(result.audit, _COLORS[result.audit])),
}
