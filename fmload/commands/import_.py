"""`fmload import`: another tool's results as stages, as published beside as corrected."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fmload import`."""
    parser.add_argument("file", type=Path, help="a file of FMBench, llmperf, vLLM, GuideLLM or AIPerf")
    parser.add_argument("--from", dest="tool", metavar="TOOL", help="the tool that wrote the file, when not recognised")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (default: results/imported-<file>)")


def run(args: argparse.Namespace) -> int:
    """Write published.csv, report.md and audit.json, and say where."""
    from analysis.audit_published import audit_published
    from analysis.importers import read_published
    from analysis.published_files import write_published
    from fmload.prices import load_prices

    published = read_published(args.file, args.tool)
    rows = audit_published(published, load_prices())
    paths = write_published(args.out or Path("results") / f"imported-{args.file.stem}", published, rows)
    corrected = sum(bool(row.corrections) for row in rows)
    print(f"{len(rows)} stages of {published.tool}, {corrected} of them with figures that their own columns contradict")
    for path in paths:
        print(path)
    return 0
