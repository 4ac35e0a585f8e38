"""What `fmload evaluate` shows in the terminal: the price before it is paid, progress, and what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fmload_analysis.document.formats import percent, several, usd
from fmload_analysis.evaluate import judges
from fmload_analysis.evaluate.budget import Budget
from fmload_analysis.evaluate.differences import comparisons_told
from fmload_analysis.evaluate.judging import Judge
from fmload_analysis.evaluate.ledger import Entry
from fmload_analysis.evaluate.panel import Question

_PLAIN = str.maketrans("", "", "*`")  # a text of the report without its markup


def tell_estimate(budget: Budget, questions: Sequence[Question], pending: Sequence[Question],
                  console: Console) -> None:
    """What is still to be asked and what that will cost, judge by judge; of what was answered before, only how much."""
    if not budget.judges:
        return
    before = len(questions) - len(pending)
    spent = f", for {usd(budget.spent_usd)}" if budget.spent_usd else ""
    console.print(f"{several(len(pending), 'question')} to {several(len(budget.judges), 'judge')}"
                  + (f"; {before:,} more were answered before{spent}" if before else ""), highlight=False)
    if not pending:
        return
    estimates = budget.estimates(pending)
    table = Table("judge", box=None, pad_edge=False)
    for title in ("questions", "tokens in", "tokens out", "USD, about"):
        table.add_column(title, justify="right")
    for each in estimates:
        table.add_row(each.judge, f"{each.questions:,}", f"{each.input_tokens:,.0f}", f"{each.output_tokens:,.0f}",
                      "unknown" if each.usd is None else usd(each.usd))
    known = [each.usd for each in estimates if each.usd is not None]
    if len(estimates) > 1 and known:
        least = "at least " if len(known) < len(estimates) else ""
        table.add_row("together", f"{len(pending):,}", "", "", least + usd(sum(known)))
    console.print(table)


class Bars:
    """Progress as bars: one a judge, with its refusals and the replies that held no verdict. Use it in a `with`."""

    def __init__(self, names: Sequence[str], questions: Sequence[Question], pending: Sequence[Question],
                 console: Console) -> None:
        self._bars = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                              TimeRemainingColumn(), TextColumn("{task.fields[told]}"), console=console,
                              transient=True)
        totals, left = (Counter(question.judge for question in some) for some in (questions, pending))
        self._tasks = {name: self._bars.add_task(name, total=totals[name], completed=totals[name] - left[name],
                                                 told="") for name in names}
        self._throttled = dict.fromkeys(names, 0)
        self._garbage = dict.fromkeys(names, 0)

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def __call__(self, judge: str, entry: Entry | None) -> None:
        self._throttled[judge] += entry is None
        self._garbage[judge] += entry is not None and entry.outcome == "garbage"
        counts = (("throttled", self._throttled[judge]), ("without a verdict", self._garbage[judge]))
        told = ", ".join(f"{count} {what}" for what, count in counts if count)
        self._bars.update(self._tasks[judge], advance=0 if entry is None else 1, told=told)


def tell_left(budget: Budget, left: int, panel: Sequence[Judge], console: Console) -> None:
    """Why questions were left: the money was used up, or judges gave up."""
    if budget.exhausted:
        console.print(f"stopped at {usd(budget.spent_usd)}, before the replies cost more than --max-cost "
                      f"{usd(budget.limit_usd)}: {several(left, 'question')} left. The verdicts are kept; call "
                      "again with a higher --max-cost to go on", highlight=False)
    for judge in panel:
        if judge.gave_up:
            console.print(f"judge '{judge.spec.name}' gave up after {judge.failed_in_a_row} failures in a row: "
                          f"{judge.last_failure}", highlight=False, markup=False)


def tell_quality(evaluation: dict[str, Any], prompts: Path, console: Console,
                 not_run: Collection[str] = ()) -> None:
    """The share of correct answers, what the judges cost and what to beware of; why, where nothing is known.
    `not_run`: prompt sets whose answers are code that nobody allowed to be run."""
    table = Table("endpoint", "prompts", box=None, pad_edge=False)
    for title in ("answers", "correct", "95 % interval", "by"):
        table.add_column(title, justify="right")
    for group in evaluation["quality"]:
        correct = group["correct"]
        told = (percent(correct["share"]), f"{correct['low'] * 100:.0f} – {correct['high'] * 100:.0f} %",
                correct["by"].replace("_", " ")) if correct else ("n/a", "", "")
        table.add_row(group["endpoint"], group["prompt_set"], f"{group['answers']:,}", *told)
    console.print(table)
    for sentence in comparisons_told(evaluation):
        console.print(sentence, highlight=False, markup=False)
    if evaluation["judges"]:
        console.print(f"judges: {judges.cost_told(evaluation)}", highlight=False)
        for warning in judges.warnings(evaluation):
            console.print(f"{warning.title}: {warning.text.translate(_PLAIN)}", highlight=False, markup=False)
        return
    unknown = {group["prompt_set"] for group in evaluation["quality"] if group["correct"] is None}
    for name in sorted(unknown & set(not_run)):
        console.print(f"n/a: the answers to '{name}' are code, which is run only with --run-code; docs/stacks.md has "
                      "what to beware of", highlight=False, markup=False)
    if unknown - set(not_run):
        console.print("n/a: no ground truth is known. Name it in the run file (reference_column of the prompts), or "
                      f"give it with --references FILE; the prompts and their ids are in {prompts}",
                      highlight=False, markup=False)
