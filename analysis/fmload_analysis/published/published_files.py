"""Imported stages as files: a CSV and a report with "as published" beside "corrected", and audit.json."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmload_analysis.published.published import AuditedRow, Published

FIXED = ("stage", "endpoint", "instance_type", "prompt_set", "audit")


def write_published(folder: Path, published: Published, rows: Sequence[AuditedRow]) -> tuple[Path, ...]:
    """Writes published.csv, report.md and audit.json into the folder (made if need be); returns their paths.

    A figure that its row contradicts has a second column, `<figure>_corrected`; `reasons` says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table, report, audit = folder / "published.csv", folder / "report.md", folder / "audit.json"
    figures = list(dict.fromkeys(name for row in rows for name in row.row.figures))
    corrected = list(dict.fromkeys(f"{found.figure}_corrected" for row in rows for found in row.corrections))
    columns = [*FIXED, *(name for figure in figures for name in (figure, f"{figure}_corrected")
                         if name == figure or name in corrected),
               *(name for name in corrected if name.removesuffix("_corrected") not in figures), "reasons"]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(_cells(row) for row in rows)
    audit.write_text(json.dumps(audit_content(published, rows), indent=1, ensure_ascii=False) + "\n")
    report.write_text(as_markdown(published, rows))
    return table, report, audit


def as_markdown(published: Published, rows: Sequence[AuditedRow]) -> str:
    """A page: verdicts, the figures that do not hold beside those that their row allows, and all checks."""
    lines = [f"# {published.source.name}, re-examined", "", f"Published by {published.tool}. Its definitions: "
             f"{'; '.join(published.notes)}.", "", "| stage | audit | figure | as published | corrected | reason |",
             "|---|---|---|---:|---:|---|"]
    for row in rows:
        found = [(c.figure, f"{c.published:.4g}", f"{c.corrected:.4g}", c.reason) for c in row.corrections]
        lines += [_line(row.row.label, row.audit, *cells) for cells in found or [("", "", "", "")]]
    lines += ["", "## Checks", "", "| stage | check | result | finding |", "|---|---|---|---|"]
    lines += [_line(row.row.label, check.name, check.result, check.sentence) for row in rows for check in row.checks]
    return "\n".join(lines) + "\n"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _cells(row: AuditedRow) -> dict[str, Any]:
    return {"stage": row.row.label, "endpoint": row.row.endpoint, "instance_type": row.row.instance_type,
            "prompt_set": row.row.prompt_set, "audit": row.audit, **row.row.figures,
            **{f"{found.figure}_corrected": found.corrected for found in row.corrections},
            "reasons": "; ".join(f"{found.figure}: {found.reason}" for found in row.corrections)}


def audit_content(published: Published, rows: Sequence[AuditedRow]) -> dict[str, Any]:
    """The content of an imported file's audit.json."""
    return {"schema": 1, "tool": published.tool, "source": published.source.name, "notes": list(published.notes),
            "stages": [{"stage": row.row.label, "audit": row.audit, "checks": [asdict(check) for check in row.checks],
                        "corrections": [asdict(found) for found in row.corrections]} for row in rows]}
