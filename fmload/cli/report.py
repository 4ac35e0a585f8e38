"""`fmload report`: analyse a results folder again, and write its report."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fmload.base.errors import EXIT_INVALID, EXIT_OBJECTIVES, EXIT_OK, FmloadError
from fmload.base.registry import did_you_mean
from fmload.results import search_file
from fmload.results.counting import count_answers
from fmload.results.folder import Results

if TYPE_CHECKING:
    from fmload_analysis.verdict.analysis import Analysis

FMBENCH_CSV = "fmbench.csv"
LATEST = Path("results/latest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this command's arguments."""
    parser.add_argument("run", nargs="?", type=Path, default=LATEST, metavar="RUN",
                        help="results folder, or another tool's file, folder or pattern; default: results/latest")
    parser.add_argument("--open", action="store_true", help="show report.html in the browser")
    parser.add_argument("--as", dest="view", metavar="TOOL",
                        help="print the stages under the definitions of another tool: llmperf, fmbench, vllm, …")
    parser.add_argument("--export", metavar="FORMAT",
                        help="write the stages in the files of another tool, to RUN/export-FORMAT: br0.2 (llm-d's "
                             "benchmark report), vllm, sglang, aiperf, inference-perf")
    parser.add_argument("--figures", type=Path, metavar="DIR",
                        help="write every chart of the report to DIR, for slides, and nothing else")
    parser.add_argument("--format", choices=("png", "svg"), default="png", help="of --figures (%(default)s)")
    parser.add_argument("--fmbench-csv", action="store_true", help=f"also write {FMBENCH_CSV}, under FMBench's names")
    parser.add_argument("--require-objectives", action="store_true", help="exit with 3 when no stage meets them")


def run(args: argparse.Namespace) -> int:
    """Write summary.csv, audit.json, report.html, and report.md with what lies beside it; show the headline and where
    they are.

    With `--as` nothing is written but to the terminal, with `--figures` nothing but charts. Exit codes: 0; 2 no results
    folder; 3 objectives required and met by no stage; 4 nothing valid was measured.
    """
    from fmload_analysis.pipeline import analyse, exit_code

    if _is_anothers(args.run):
        from fmload.cli.import_ import results

        return results([args.run])
    _check_there(args.run)
    if search_file.exists(args.run):
        return _search(args)
    if args.view:
        return _view(args.run, args.view)
    if args.run.is_dir():
        count_answers(Results(args.run), lambda line: print(line, flush=True))
    if args.export:
        return _export(args.run, args.export)
    if args.figures:
        return _figures(args.run, args.figures, args.format)
    analysis = analyse(args.run)
    _headline(analysis)
    if args.fmbench_csv:
        _fmbench_csv(analysis)
    if args.open and not webbrowser.open(analysis.run.results.report_html.resolve().as_uri()):
        raise FmloadError("no browser was found", hint=f"open {analysis.run.results.report_html} yourself")
    return exit_code(analysis, args.require_objectives)


def _search(args: argparse.Namespace) -> int:
    """The report of a search over stacks, as far as it is."""
    from fmload_analysis.stacks.page import write
    from fmload_analysis.stacks.words import answer

    if args.view or args.export or args.fmbench_csv:
        raise FmloadError(f"{args.run} holds a search over stacks: its trials are runs of their own",
                          hint=f"name one of {args.run}/trials/*")
    search, paths = search_file.read(args.run), write(args.run)
    console = Console()
    console.print(answer(search), highlight=False, soft_wrap=True)
    for path in paths:
        console.print(f"  {path}", highlight=False, soft_wrap=True)
    if args.open and not webbrowser.open(paths[0].resolve().as_uri()):
        raise FmloadError("no browser was found", hint=f"open {paths[0]} yourself")
    best = search.best_trials().values()
    if not any(trial.status == "measured" for trial in best):
        return EXIT_INVALID
    met = any(trial.figure.value is not None for trial in best)
    return EXIT_OBJECTIVES if args.require_objectives and not met else EXIT_OK


def _check_there(root: Path) -> None:
    """Raises FmloadError, with the folders that there are, for one that is not there."""
    if root.exists():
        return
    known = sorted((str(path) for path in Path("results").glob("*/") if (path / "stages.json").exists()), reverse=True)
    if root == LATEST and not known:
        raise FmloadError("there are no results here yet",
                          hint="measure something first: fmload run http://host:8000/v1, or fmload run quickstart; or "
                               "name a results folder: fmload report DIR")
    raise FmloadError(f"{root} is not a results folder: there is no such folder{did_you_mean(str(root), known)}",
                      hint=f"there are: {', '.join(known[:5])}" if known else "fmload run makes one in results/")


def _is_anothers(path: Path) -> bool:
    """Whether it is a file, a pattern, or a folder that no run of ours has written to."""
    if path.is_dir():
        return any(path.iterdir()) and not any((path / name).exists() for name in (
            "stages.json", "run.yml", "search.json", "records", "journal"))
    return path.is_file() or any(mark in str(path) for mark in "*?[")


def _headline(analysis: Analysis) -> None:
    from fmload_analysis.report.terminal import headline

    results, console = analysis.run.results, Console()
    console.print(headline(analysis))
    tenants = [results.tenants_csv] if results.tenants_csv.exists() else []
    for path in (results.report_html, results.report_md, results.summary_csv, *tenants, results.audit_json):
        console.print(f"  {path}", highlight=False, soft_wrap=True)


def _fmbench_csv(analysis: Analysis) -> None:
    from fmload_analysis.published import fmbench_csv

    path = analysis.run.results.root / FMBENCH_CSV
    fmbench_csv.write(path, analysis.results)
    Console().print(f"  {path}", highlight=False, soft_wrap=True)


def _export(root: Path, name: str) -> int:
    from fmload_analysis.pipeline import analyse_run
    from fmload_analysis.published import export
    from fmload_analysis.run import open_run

    analysis = analyse_run(open_run(root))
    for path in export.write(analysis, name, analysis.run.results.root / f"export-{name}"):
        Console().print(f"  {path}", highlight=False, soft_wrap=True)
    return EXIT_OK


def _figures(root: Path, folder: Path, form: str) -> int:
    from fmload_analysis.pipeline import analyse_run
    from fmload_analysis.report.report import draw, rendered
    from fmload_analysis.run import open_run

    paths = draw(list(rendered(analyse_run(open_run(root)))), folder, form)
    if not paths:
        raise FmloadError(f"{root} has nothing to draw: no stage was measured",
                          hint="fmload report shows what it holds")
    for path in paths:
        Console().print(f"  {path}", highlight=False, soft_wrap=True)
    return EXIT_OK


def _view(root: Path, tool: str) -> int:
    from fmload_analysis.pipeline import analyse_run
    from fmload_analysis.published.views import show
    from fmload_analysis.run import open_run

    Console().print(show(analyse_run(open_run(root)), tool))
    return EXIT_OK
