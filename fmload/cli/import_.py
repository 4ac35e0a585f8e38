"""`fmload import`: other tools' results as stages, as published beside as corrected; FMBench's run files as ours."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from fmload.base.errors import FmloadError
from fmload.base.redaction import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fmload import`."""
    parser.add_argument("file", type=Path, nargs="+", help="files, folders or patterns of another tool's results, one "
                        "sweep together; or 'fmbench-config FILE', a run file of FMBench's or a report that holds one")
    parser.add_argument("--from", dest="tool", metavar="TOOL", help="the tool that wrote the file, when not recognised")
    parser.add_argument("--out", type=Path, metavar="PATH",
                        help="folder to write to (default: results/imported-<file>); "
                        "for fmbench-config the run file to write (default: it is printed)")


def run(args: argparse.Namespace) -> int:
    """Write what came of the files, and say where."""
    if str(args.file[0]) == "fmbench-config" and not args.file[0].exists():
        if len(args.file) != 2:
            raise FmloadError("fmbench-config takes one file", hint="fmload import fmbench-config FILE")
        return _run_file(args.file[1], args.out)
    return results(args.file, args.tool, args.out)


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


def _report_of(folder: Path | None) -> tuple[Path, ...]:
    """The report of the requests that the files hold; none where they hold none."""
    from fmload_analysis.pipeline import analyse

    return () if folder is None else (analyse(folder).run.results.report_html,)


def results(files: Sequence[Path], tool: str | None = None, out: Path | None = None) -> int:
    """Write published.csv, report.md, report.html and audit.json of other tools' files; `out` None: below results/."""
    from fmload.pricing.table import load_prices
    from fmload_analysis.published.checks.audit_published import audit_sweep
    from fmload_analysis.published.page import in_one_sentence
    from fmload_analysis.published.published_files import write_published
    from fmload_analysis.published.recorded import write_run
    from fmload_analysis.published.rows.sweep import read_sweep

    sweep = read_sweep(files, tool)
    rows = audit_sweep(sweep, load_prices())
    paths = write_published(out or Path("results") / f"imported-{sweep.sources[0].stem}", sweep, rows)
    paths = (*paths, *_report_of(write_run(paths[0].parent / "run", sweep)))
    corrected = sum(bool(row.corrections) for row in rows)
    print(f"{len(rows)} stages of {sweep.tool}, {corrected} of them with figures that their own columns contradict")
    print(printable(in_one_sentence(sweep, rows)), *(printable(f"left out: {why}") for why in sweep.skipped), sep="\n")
    for path in paths:
        print(printable(str(path)))
    return 0
