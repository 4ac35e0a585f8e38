"""Writes the report of an analysis: report.html; report.md with its figures, and what it leaves out beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fmload.base.files import write_whole
from fmload.plugins import SECTIONS
from fmload_analysis.document import formats, markdown, plots
from fmload_analysis.document.document import Chart, Section
from fmload_analysis.document.questions import BELIEVE, HOW, OTHER
from fmload_analysis.report import digest, html
from fmload_analysis.report.legible import legible
from fmload_analysis.verdict.analysis import Analysis

ANSWER = "headline"  # the one section that stands before all questions


def render(analysis: Analysis) -> tuple[Path, Path]:
    """Write report.md, details.md, audit.md, environment.md, figures/ and report.html into the results folder;
    returns the paths of the two reports."""
    results, sections = analysis.run.results, list(rendered(analysis))
    draw(sections, results.figures)
    write_whole(results.report_md, _short(analysis, sections), durable=False)
    for path, held in _files(analysis, sections).items():
        write_whole(path, markdown.render(f"{title(analysis)}: {path.stem}", held), durable=False)
    write_whole(results.report_html, html.render(title(analysis), _subtitle(analysis), sections), durable=False)
    return results.report_md, results.report_html


def rendered(analysis: Analysis) -> Iterator[Section]:
    """The sections that have something to say; one of another distribution that names no question stands under its
    own."""
    for name in SECTIONS.in_order():
        section = SECTIONS.use(name, analysis, gives=Section)
        if section is None or not section.blocks:
            continue
        blocks = [legible(block) if isinstance(block, Chart) else block for block in section.blocks]
        yield replace(section, blocks=blocks, question=section.question or ("" if name == ANSWER else OTHER))


def draw(sections: Sequence[Section], folder: Path, form: str = "png") -> list[Path]:
    """Save every chart of the sections as PNG or SVG; returns the paths."""
    charts = [block for section in sections for block in section.blocks if isinstance(block, Chart)]
    return [path for chart in charts if (path := plots.save(chart, folder, form))]


def _files(analysis: Analysis, sections: Sequence[Section]) -> dict[Path, list[Section]]:
    """What is written beside report.md, by the questions that it answers."""
    results = analysis.run.results
    beside = {BELIEVE: results.audit_md, HOW: results.environment_md}
    held: dict[Path, list[Section]] = {path: [] for path in (results.details_md, *beside.values())}
    for section in sections:
        if section.question:
            held[beside.get(section.question, results.details_md)].append(section)
    return held


def _short(analysis: Analysis, sections: Sequence[Section]) -> str:
    names = {section.id: path.name for path, held in _files(analysis, sections).items() for section in held}
    head = f"{_subtitle(analysis)} · [interactive report](report.html)"
    return digest.render(title(analysis), head, sections, names)


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
