"""`fmload import`: another tool's results as stages, as published beside as corrected; FMBench's run files as ours."""

from __future__ import annotations

import argparse
from pathlib import Path

from fmload.base.errors import FmloadError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fmload import`."""
    parser.add_argument("file", type=Path, nargs="+", help="a file of FMBench, llmperf, vLLM, GuideLLM or AIPerf; or "
                        "'fmbench-config FILE', a run file of FMBench's or a report that holds one")
    parser.add_argument("--from", dest="tool", metavar="TOOL", help="the tool that wrote the file, when not recognised")
    parser.add_argument("--out", type=Path, metavar="PATH",
                        help="folder to write to (default: results/imported-<file>); "
                        "for fmbench-config the run file to write (default: it is printed)")


def run(args: argparse.Namespace) -> int:
    """Write what came of the file, and say where."""
    if [str(path) for path in args.file[:-1]] == ["fmbench-config"]:
        return _run_file(args.file[1], args.out)
    if len(args.file) > 1:
        raise FmloadError("one file at a time", hint="fmload import FILE, or fmload import fmbench-config FILE")
    return _results(args.file[0], args)


def _run_file(path: Path, out: Path | None) -> int:
    """Print or write our run file of an FMBench one."""
    from fmload_deploy.fmbench.config import read_fmbench_config

    converted = read_fmbench_config(path)
    if out is None:
        print(converted.text(), end="")
    else:
        out.write_text(converted.text())
        print(f"{out}; {len(converted.lost)} keys have no counterpart and stand in its first lines")
    return 0


def _results(file: Path, args: argparse.Namespace) -> int:
    """Write published.csv, report.md and audit.json."""
    from fmload.pricing.table import load_prices
    from fmload_analysis.published.audit_published import audit_published
    from fmload_analysis.published.published_files import read_published, write_published

    published = read_published(file, args.tool)
    rows = audit_published(published, load_prices())
    paths = write_published(args.out or Path("results") / f"imported-{file.stem}", published, rows)
    corrected = sum(bool(row.corrections) for row in rows)
    print(f"{len(rows)} stages of {published.tool}, {corrected} of them with figures that their own columns contradict")
    for path in paths:
        print(path)
    return 0
