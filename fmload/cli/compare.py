"""`fmload compare`: runs against a baseline, as a Markdown table and an exit code for CI."""

from __future__ import annotations

import argparse
from pathlib import Path

from fmload.base.errors import EXIT_OBJECTIVES, EXIT_OK, FmloadError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `fmload compare`."""
    parser.add_argument("baseline", type=Path, help="results folder")
    parser.add_argument("candidates", type=Path, nargs="+", metavar="candidate", help="results folders")
    parser.add_argument("--metrics", metavar="NAME[,…]", help="for example ttft_p95,e2e_p50,error_rate")
    parser.add_argument("--fail-on", metavar="SHARE", type=_share,
                        help="exit with 3 when a metric got worse by more than this, such as 5%%, and significantly so")
    parser.add_argument("--force", action="store_true", help="compare runs made in unlike environments")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table here, too")


def _share(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share; write 5% or 0.05") from error


def run(args: argparse.Namespace) -> int:
    """Print the comparison; 3 on a regression beyond --fail-on, else 0."""
    from fmload_analysis.pipeline import analyse_run
    from fmload_analysis.run import open_run
    from fmload_analysis.verdict.compare import DEFAULT_METRICS, as_markdown, compare
    from fmload_analysis.verdict.objectives import known_names

    metrics = args.metrics.split(",") if args.metrics else list(DEFAULT_METRICS)
    unknown = [name for name in metrics if name not in known_names()]
    if unknown:
        raise FmloadError(f"unknown metric '{unknown[0]}'",
                          hint="'fmload help metrics' lists them, for example ttft_p95")
    baseline = analyse_run(open_run(args.baseline))
    found = [compare(baseline, analyse_run(open_run(path)), metrics, args.force) for path in args.candidates]
    text = "\n".join(as_markdown(comparison, args.fail_on) for comparison in found)
    print(text)
    if args.out:
        args.out.write_text(text)
    failed = args.fail_on is not None and any(comparison.regressions(args.fail_on) for comparison in found)
    return EXIT_OBJECTIVES if failed else EXIT_OK
