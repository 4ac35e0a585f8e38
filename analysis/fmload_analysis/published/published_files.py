"""Imported stages as files: a CSV with "as published" beside "corrected", the page as Markdown and HTML, audit.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmload.base.files import write_whole
from fmload_analysis.document import csv_table, markdown
from fmload_analysis.published import page
from fmload_analysis.published.rows.published import DERIVED, AuditedRow
from fmload_analysis.published.rows.sweep import Sweep
from fmload_analysis.report import html

FIXED = ("stage", "endpoint", "instance_type", "prompt_set", "audit")


def write_published(folder: Path, sweep: Sweep, rows: Sequence[AuditedRow]) -> tuple[Path, ...]:
    """Writes published.csv, report.md, report.html and audit.json into the folder (made if need be); returns their
    paths.

    A figure that its row contradicts has a second column, `<figure>_corrected`; `reasons` says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table, report, site, audit = (folder / name for name in ("published.csv", "report.md", "report.html", "audit.json"))
    cells = [_cells(row) for row in rows]
    parts = page.sections(sweep, rows)
    csv_table.write(table, _columns(cells), cells)
    for path, text in (
            (audit, json.dumps(audit_content(sweep, rows), indent=1, ensure_ascii=False) + "\n"),
            (report, markdown.render(page.title(sweep), parts)),
            (site, html.render(page.title(sweep), f"published by {sweep.tool}", parts))):
        write_whole(path, text, durable=False)
    return table, report, site, audit


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The fixed ones, then each figure with its corrected one behind it, then the reasons."""
    names = list(dict.fromkeys(name for row in rows for name in row if name not in FIXED and name != "reasons"))
    plain = [name for name in names if not name.endswith("_corrected")]
    paired = [name for figure in plain for name in (figure, f"{figure}_corrected") if name == figure or name in names]
    return [*FIXED, *paired, *(name for name in names if name not in paired), "reasons"]


def _cells(row: AuditedRow) -> dict[str, Any]:
    derived = {name: row.row.value(name) for name in DERIVED if name not in row.row.figures}
    return {"stage": row.row.label, "endpoint": row.row.endpoint, "instance_type": row.row.instance_type,
            "prompt_set": row.row.prompt_set, "audit": row.audit, **row.row.figures,
            **{name: value for name, value in derived.items() if value is not None},
            **{f"{found.figure}_corrected": found.corrected for found in row.corrections},
            "reasons": "; ".join(f"{found.figure}: {found.reason}" for found in row.corrections)}


def audit_content(sweep: Sweep, rows: Sequence[AuditedRow]) -> dict[str, Any]:
    """The content of an imported file's audit.json."""
    return {"schema": 2, "tool": sweep.tool, "source": sweep.name, "sources": [str(path) for path in sweep.sources],
            "skipped": list(sweep.skipped), "notes": list(sweep.notes),
            "summary": page.in_one_sentence(sweep, rows),
            "stages": [{"stage": row.row.label, "audit": row.audit, "coverage": row.coverage, "date": row.row.date,
                        "not_checked": list(row.not_checked), "checks": [asdict(check) for check in row.checks],
                        "corrections": [asdict(found) for found in row.corrections]} for row in rows]}
