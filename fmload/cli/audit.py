"""`fmload audit`: check the numbers of a results folder, or of a file that another tool published."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmload.base.errors import EXIT_INVALID, EXIT_OK

if TYPE_CHECKING:
    from fmload_analysis.published.published import AuditedRow
    from fmload_analysis.verdict.table import Check

STYLES = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red", "NOT APPLICABLE": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fmload audit`."""
    parser.add_argument("path", type=Path, help="results folder, or a file of FMBench, llmperf, vLLM, GuideLLM, AIPerf")
    parser.add_argument("--from", dest="tool", metavar="TOOL", help="the tool that wrote the file, when not recognised")
    parser.add_argument("--all", action="store_true", help="show the checks that passed, too")
    parser.add_argument("--json", action="store_true", help="print audit.json's content instead")


def run(args: argparse.Namespace) -> int:
    """Show the checks; 4 when a stage fails, else 0."""
    if args.path.is_dir():
        return _run_folder(args)
    return _published_file(args)


def _run_folder(args: argparse.Namespace) -> int:
    from fmload_analysis.audit.audit import audit_json, write_audit
    from fmload_analysis.pipeline import analyse_run
    from fmload_analysis.run import open_run
    from fmload_analysis.verdict.recommend import describe

    analysis = analyse_run(open_run(args.path))
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


def _published_file(args: argparse.Namespace) -> int:
    from fmload.pricing.table import load_prices
    from fmload_analysis.published.audit_published import audit_published
    from fmload_analysis.published.published_files import audit_content, read_published

    published = read_published(args.path, args.tool)
    rows = audit_published(published, load_prices())
    if args.json:
        print(json.dumps(audit_content(published, rows), indent=1, ensure_ascii=False))
    else:
        for row in rows:
            _show(row.row.label, row.audit, row.checks, args.all)
            _show_corrections(row)
        print(f"\n{published.tool}: {'; '.join(published.notes)}")
    return EXIT_INVALID if any(row.audit == "FAIL" for row in rows) else EXIT_OK


def _show(title: str, audit: str, checks: Iterable[Check], everything: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text.assemble((f"{audit:<5}", STYLES[audit]), " ", (title, "bold")), soft_wrap=True)
    for check in checks:
        if everything or check.result in ("WARN", "FAIL"):
            console.print(Text.assemble("      ", (f"{check.result:<5}", STYLES[check.result]), f" {check.name}: ",
                                        check.sentence), soft_wrap=True)


def _show_corrections(row: AuditedRow) -> None:
    for correction in row.corrections:
        print(f"            {correction.figure}: {_figure(correction.published)} as published, "
              f"{_figure(correction.corrected)} by {correction.reason}")


def _figure(value: Any) -> str:
    return f"{value:.4g}"
