"""`fmload evaluate`: were the kept answers any good? Scores, a panel of judges, and the report with both."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from fmload.commands.arguments import positive
from fmload.config.schema import PriceSpec
from fmload.errors import EXIT_INVALID, EXIT_OK

if TYPE_CHECKING:
    from analysis.cost import Pricing
    from analysis.evaluate.cases import Case
    from analysis.evaluate.judging import Judge
    from analysis.evaluate.ledger import Entry, Ledger
    from analysis.evaluate.panel import JudgesFile, Panel, Question
    from analysis.evaluate.scores import Score

_PLAIN = str.maketrans("", "", "*`")  # a text of the report without its markup


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("run", nargs="?", type=Path, default=Path("results/latest"), metavar="RUN",
        help="results folder of a run with keep_answers; default: results/latest")
    add("--references", type=Path, metavar="FILE", help="ground truths as JSON lines: prompt_set, prompt_id, reference")
    add("--judges", type=Path, metavar="FILE", help="a panel of LLM judges; each verdict costs what its endpoint costs")
    add("--concurrency", type=positive, default=8, metavar="N", help="questions at a time (%(default)s)")
    add("--limit", type=positive, metavar="N", help="evaluate at most N prompts of each prompt set")


def run(args: argparse.Namespace) -> int:
    """Write evaluation.json and the report anew. Verdicts that the folder has are not asked for again.

    Exit codes: 0; 2 no answers, or a file that cannot be used; 4 a judge gave up: call again to go on.
    """
    from analysis.evaluate.cases import load_cases, one_each
    from analysis.evaluate.evaluation import evaluate
    from analysis.evaluate.ledger import Ledger
    from analysis.evaluate.panel import Panel, load_judges
    from analysis.load import open_run
    from analysis.pipeline import analyse

    console = Console(stderr=True)
    results = open_run(args.run).results
    cases = load_cases(results, args.references, args.limit)
    if args.judges is None:
        judges = []
        with console.status("scoring"):
            evaluation = evaluate(cases)
    else:
        panel = Panel(load_judges(args.judges))
        with Ledger(results.verdicts_jsonl) as ledger:
            judges = _ask(panel, panel.questions(one_each(cases)), ledger, args.concurrency, console)
            with console.status("scoring"):
                evaluation = evaluate(cases, panel, ledger.entries, _pricing(panel.spec),
                                      _cosine(panel.spec, cases))
    results.evaluation_json.write_text(json.dumps(evaluation, indent=1))
    analysis = analyse(args.run)
    _show(evaluation, results.prompts, Console())
    print(f"report: {analysis.run.results.report_html}")
    return _told_of_failures(judges, console)


def _ask(panel: Panel, questions: list[Question], ledger: Ledger, concurrency: int, console: Console) -> list[Judge]:
    from analysis.evaluate.judging import ask_all

    known = [question for question in questions if ledger.settled(question.key)]
    console.print(f"{len(questions):,} questions to {len(panel.names)} judges, {len(known):,} of them answered before")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=console, transient=True) as bars:
        tasks = {name: bars.add_task(name, total=sum(question.judge == name for question in questions),
                                     completed=sum(question.judge == name for question in known), told="")
                 for name in panel.names}
        return ask_all(panel.spec, questions, ledger, concurrency, _Bars(bars, tasks))


class _Bars:
    """Progress as bars: one a judge, with its refusals and the replies that held no verdict."""

    def __init__(self, bars: Progress, tasks: dict[str, TaskID]) -> None:
        self._bars = bars
        self._tasks = tasks
        self._throttled = dict.fromkeys(tasks, 0)
        self._garbage = dict.fromkeys(tasks, 0)

    def __call__(self, judge: str, entry: Entry | None) -> None:
        self._throttled[judge] += entry is None
        self._garbage[judge] += entry is not None and entry.outcome == "garbage"
        counts = (("throttled", self._throttled[judge]), ("without a verdict", self._garbage[judge]))
        told = ", ".join(f"{count} {what}" for what, count in counts if count)
        self._bars.update(self._tasks[judge], advance=0 if entry is None else 1, told=told)


def _cosine(spec: JudgesFile, cases: list[Case]) -> Score | None:
    from analysis.evaluate.embeddings import Embeddings

    if spec.embedding is None:
        return None
    embeddings = Embeddings(spec.embedding, spec.attempts, spec.backoff_s)
    embeddings.fetch(text for case in cases if case.references for text in (case.answer, *case.references))
    return embeddings.cosine


def _pricing(spec: JudgesFile) -> dict[str, Pricing | None]:
    from analysis.cost import pricing_of
    from analysis.load import Endpoint
    from fmload.prices import load_prices

    table = load_prices()
    return {judge.name: pricing_of(Endpoint(judge.name, judge.price or PriceSpec(), model=judge.model), table,
                                   spec.region) for judge in spec.judges}


def _show(evaluation: dict[str, Any], prompts: Path, console: Console) -> None:
    """The share of correct answers, what the judges cost and what to beware of; why, where nothing is known."""
    from analysis import judges
    from analysis.formats import percent

    table = Table("endpoint", "prompts", box=None, pad_edge=False)
    for title in ("answers", "correct", "95 % interval", "by"):
        table.add_column(title, justify="right")
    for group in evaluation["quality"]:
        correct = group["correct"]
        told = (percent(correct["share"]), f"{correct['low'] * 100:.0f} – {correct['high'] * 100:.0f} %",
                correct["by"].replace("_", " ")) if correct else ("n/a", "", "")
        table.add_row(group["endpoint"], group["prompt_set"], f"{group['answers']:,}", *told)
    console.print(table)
    if evaluation["judges"]:
        console.print(f"judges: {judges.cost_told(evaluation)}", highlight=False)
        for warning in judges.warnings(evaluation):
            console.print(f"{warning.title}: {warning.text.translate(_PLAIN)}", highlight=False, markup=False)
    elif any(group["correct"] is None for group in evaluation["quality"]):
        console.print("n/a: no ground truth is known. Name it in the run file (reference_column of the prompts), or "
                      f"give it with --references FILE; the prompts and their ids are in {prompts}",
                      highlight=False, markup=False)


def _told_of_failures(judges: list[Judge], console: Console) -> int:
    silent = [judge for judge in judges if judge.gave_up]
    for judge in silent:
        console.print(f"judge '{judge.spec.name}' gave up after {judge.failed_in_a_row} failures in a row: "
                      f"{judge.last_failure}", highlight=False)
    return EXIT_INVALID if silent else EXIT_OK
