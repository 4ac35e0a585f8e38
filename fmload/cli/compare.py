"""`fmload compare`: runs against a baseline, as a Markdown table and an exit code for CI."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fmload.base.errors import EXIT_OBJECTIVES, EXIT_OK, FmloadError
from fmload.base.redaction import printable

if TYPE_CHECKING:
    from fmload_analysis.published.comparing import Side
    from fmload_analysis.verdict.compare import Comparison


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fmload compare`."""
    parser.add_argument("baseline", type=Path, help="results folder, or another tool's file or folder")
    parser.add_argument("candidates", type=Path, nargs="+", metavar="candidate",
                        help="results folders, or other tools' files or folders")
    parser.add_argument("--metrics", metavar="NAME[,…]", help="for example ttft_p95,e2e_p50,error_rate")
    parser.add_argument("--fail-on", metavar="SHARE", type=_share,
                        help="exit with 3 when a metric got worse by more than this, such as 5%%, and significantly "
                             "so, or objectives that were met are missed")
    parser.add_argument("--force", action="store_true", help="compare runs made in unlike environments")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table here, too")


def _share(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share; write 5% or 0.05") from error


def run(args: argparse.Namespace) -> int:
    """Print the comparison; 3 on a regression beyond --fail-on or objectives that are missed now, else 0."""
    from fmload_analysis.verdict.compare import DEFAULT_METRICS, as_markdown
    from fmload_analysis.verdict.objectives import known_names

    metrics = args.metrics.split(",") if args.metrics else list(DEFAULT_METRICS)
    unknown = [name for name in metrics if name not in known_names()]
    if unknown:
        raise FmloadError(f"unknown metric '{unknown[0]}'",
                          hint="'fmload help metrics' lists them, for example ttft_p95")
    paths = (args.baseline, *args.candidates)
    found, notes = _ours(paths, metrics, args.force) if all(map(_is_run, paths)) else _with_imports(paths, metrics)
    text = "\n".join(as_markdown(comparison, args.fail_on) for comparison in found)
    text += f"\nDefinitions of other tools: {'; '.join(notes)}.\n" if notes else ""
    print(printable(text))
    if args.out:
        args.out.write_text(text)
    failed = args.fail_on is not None and any(
        comparison.regressions(args.fail_on) or comparison.broken for comparison in found)
    return EXIT_OBJECTIVES if failed else EXIT_OK


def _ours(paths: Sequence[Path], metrics: Sequence[str], force: bool) -> tuple[list[Comparison], list[str]]:
    from fmload_analysis.pipeline import analyse_run
    from fmload_analysis.run import open_run
    from fmload_analysis.verdict.compare import compare

    baseline = analyse_run(open_run(paths[0]))
    return [compare(baseline, analyse_run(open_run(path)), metrics, force) for path in paths[1:]], []


def _with_imports(paths: Sequence[Path], metrics: Sequence[str]) -> tuple[list[Comparison], list[str]]:
    """By stages of the same load, where one side at least is another tool's; with how their definitions differ."""
    from fmload_analysis.pipeline import analyse_run
    from fmload_analysis.published.comparing import compare_sides, measured
    from fmload_analysis.run import open_run

    baseline, *others = (measured(analyse_run(open_run(path))) if _is_run(path) else _imported(path) for path in paths)
    notes = list(dict.fromkeys(note for side in (baseline, *others) for note in side.notes))
    return [compare_sides(baseline, other, metrics) for other in others], notes


def _imported(path: Path) -> Side:
    from fmload.pricing.table import load_prices
    from fmload_analysis.published.checks.audit_published import audit_sweep
    from fmload_analysis.published.comparing import imported
    from fmload_analysis.published.rows.sweep import read_sweep

    sweep = read_sweep([path])
    return imported(sweep, audit_sweep(sweep, load_prices()))


def _is_run(path: Path) -> bool:
    """Whether it is a results folder of ours, or means to be one."""
    return (path / "stages.json").exists() or not (path.exists() or any(mark in str(path) for mark in "*?["))
