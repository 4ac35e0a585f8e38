"""`fmload audit`: check the numbers of a results folder, or of a file that another tool published."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fmload.base.errors import EXIT_INVALID, EXIT_OK
from fmload.base.redaction import printable

if TYPE_CHECKING:
    from fmload_analysis.published.rows.published import AuditedRow
    from fmload_analysis.verdict.table import Check

STYLES = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red", "NOT APPLICABLE": "dim", "NOT CHECKED": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fmload audit`."""
    parser.add_argument("path", type=Path, nargs="+", help="results folder, or files, folders and patterns of another "
                        "tool's results")
    parser.add_argument("--from", dest="tool", metavar="TOOL", help="the tool that wrote the file, when not recognised")
    parser.add_argument("--all", action="store_true", help="show the checks that passed, too")
    parser.add_argument("--json", action="store_true", help="print audit.json's content instead")


def run(args: argparse.Namespace) -> int:
    """Show the checks; 4 when a stage fails, else 0."""
    if len(args.path) == 1 and args.path[0].is_dir() and (
            (args.path[0] / "stages.json").exists() or not any(args.path[0].iterdir())):
        return _run_folder(args.path[0], args)
    return _published(args)


def _run_folder(folder: Path, args: argparse.Namespace) -> int:
    from fmload_analysis.audit.audit import audit_json, write_audit
    from fmload_analysis.pipeline import analyse_run
    from fmload_analysis.run import open_run
    from fmload_analysis.verdict.recommend import describe

    analysis = analyse_run(open_run(folder))
    write_audit(analysis.run.results.audit_json, analysis.results)
    if args.json:
        print(json.dumps(audit_json(analysis.results), indent=1, ensure_ascii=False))
    else:
        for result in analysis.results:
            title = f"stage {result.stage}: {describe(result)}, {result.prompt_set}"
            _show(title, result.audit, result.checks, args.all)
        if superseded := [str(stage.stage) for stage in analysis.run.stages if stage.status == "superseded"]:
            print(f"not judged, for they were broken off and taken again: stages {', '.join(superseded)}")
    return EXIT_INVALID if any(result.audit == "FAIL" for result in analysis.results) else EXIT_OK


def _published(args: argparse.Namespace) -> int:
    from fmload.pricing.table import load_prices
    from fmload_analysis.published.checks.audit_published import audit_sweep
    from fmload_analysis.published.page import in_one_sentence
    from fmload_analysis.published.published_files import audit_content
    from fmload_analysis.published.rows.published import worst_first
    from fmload_analysis.published.rows.sweep import read_sweep

    sweep = read_sweep(args.path, args.tool)
    rows = audit_sweep(sweep, load_prices())
    if args.json:
        print(json.dumps(audit_content(sweep, rows), indent=1, ensure_ascii=False))
    else:
        for row in worst_first(rows):
            _show(f"{row.row.label} ({row.coverage})", row.audit, row.checks, args.all)
            _show_corrections(row)
        print(printable(f"\n{in_one_sentence(sweep, rows)}\n{sweep.tool}: {'; '.join(sweep.notes)}"))
    return EXIT_INVALID if any(row.audit == "FAIL" for row in rows) else EXIT_OK


def _show(title: str, audit: str, checks: Iterable[Check], everything: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text.assemble((f"{audit:<5}", STYLES[audit]), " ", (printable(title), "bold")), soft_wrap=True)
    for check in checks:
        if everything or check.result in ("WARN", "FAIL"):
            console.print(Text.assemble("      ", (f"{check.result:<5}", STYLES[check.result]), f" {check.name}: ",
                                        printable(check.sentence)), soft_wrap=True)


def _show_corrections(row: AuditedRow) -> None:
    from fmload_analysis.published.rows.figure_names import label, shown

    for found in row.corrections:
        print(printable(f"            {label(found.figure)}: {shown(found.figure, found.published)} as published, "
                        f"{shown(found.figure, found.corrected)} by its own other columns: {found.reason}"))
