"""Writes the report of an analysis: report.md with its figures and report.html."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fmload.plugins import SECTIONS
from fmload_analysis.document import formats, markdown, plots
from fmload_analysis.document.document import Chart, Section
from fmload_analysis.report import html
from fmload_analysis.verdict.analysis import Analysis


def render(analysis: Analysis) -> tuple[Path, Path]:
    """Write report.md, figures/ and report.html into the results folder; returns the paths of the two reports."""
    results, sections = analysis.run.results, list(rendered(analysis))
    draw(sections, results.figures)
    results.report_md.write_text(_markdown(analysis, sections), encoding="utf-8")
    results.report_html.write_text(html.render(title(analysis), _subtitle(analysis), sections), encoding="utf-8")
    return results.report_md, results.report_html


def rendered(analysis: Analysis) -> Iterator[Section]:
    """The sections that have something to say."""
    for name in SECTIONS.in_order():
        section = SECTIONS.load(name)(analysis)
        if section is not None:
            yield section


def draw(sections: list[Section], folder: Path) -> list[Path]:
    """Save every chart of the sections as PNG; returns the paths."""
    charts = [block for section in sections for block in section.blocks if isinstance(block, Chart)]
    return [path for chart in charts if (path := plots.save(chart, folder))]


def _markdown(analysis: Analysis, sections: list[Section]) -> str:
    head, _, rest = markdown.render(title(analysis), sections).partition("\n\n")
    return f"{head}\n\n{_subtitle(analysis)} · [interactive report](report.html)\n\n{rest}"


def title(analysis: Analysis) -> str:
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
