"""`fmload evaluate`: were the kept answers any good? Scores, a panel of judges, and the report with both."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console

from fmload.base.errors import EXIT_INVALID, EXIT_OK
from fmload.base.files import write_whole
from fmload.cli.arguments import dollars, positive
from fmload.results.folder import Results

if TYPE_CHECKING:
    from fmload.config.schema import PriceSpec
    from fmload.pricing.resolve import Price, Pricing
    from fmload_analysis.evaluate.cases import Case
    from fmload_analysis.evaluate.ledger import Entry, Ledger
    from fmload_analysis.evaluate.panel import JudgesFile, Panel, Question
    from fmload_analysis.evaluate.scores import Score


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    add("run", nargs="?", type=Path, default=Path("results/latest"), metavar="RUN",
        help="results folder of a run with keep_answers; default: results/latest")
    add("--references", type=Path, metavar="FILE", help="ground truths as JSON lines: prompt_set, prompt_id, reference")
    add("--judges", type=Path, metavar="FILE", help="a panel of LLM judges; each verdict costs what its endpoint costs")
    add("--concurrency", type=positive, default=8, metavar="N", help="questions at a time (%(default)s)")
    add("--max-cost", type=dollars, metavar="USD", help="stop before the judges' replies cost more, earlier calls "
        "included; 0 tells the estimate and asks nobody")
    add("--run-code", action="store_true", help="run the code that answers to humaneval prompts hold, in processes of "
        "this host: no sandbox (docs/stacks.md)")
    add("--limit", type=positive, metavar="N", help="evaluate at most N prompts of each prompt set")


def run(args: argparse.Namespace) -> int:
    """Write evaluation.json, evaluated.jsonl and the report anew. Verdicts that the folder has are not asked for again.

    Exit codes: 0; 2 no answers, or a file that cannot be used; 4 a judge gave up, or the money was used up: call again
    to go on.
    """
    from fmload_analysis.evaluate.cases import load_cases, one_each
    from fmload_analysis.evaluate.evaluation import all_scores, evaluate
    from fmload_analysis.evaluate.graders import rules_of
    from fmload_analysis.evaluate.review import reviewed
    from fmload_analysis.evaluate.terminal import tell_quality
    from fmload_analysis.pipeline import analyse
    from fmload_analysis.run import open_run

    console = Console(stderr=True)
    opened = open_run(args.run)
    results, rules = opened.results, rules_of(opened.spec.get("prompts") or [], args.run_code)
    cases = load_cases(results, args.references, args.limit)
    judged = _judged(args, one_each(cases), cases, results, console) if args.judges else Judged()
    with console.status("scoring"):
        evaluation = evaluate(cases, judged.panel, judged.entries, judged.pricing, judged.cosine, rules)
        answers = list(reviewed(one_each(cases), all_scores(judged.cosine), judged.panel, judged.entries, rules))
    _write(results, evaluation, answers)
    analysis = analyse(args.run)
    tell_quality(evaluation, results.prompts, Console(), {name for name, rule in rules.items() if rule is None})
    print(f"answers: {results.evaluated_jsonl}\nreport: {analysis.run.results.report_html}")
    return EXIT_OK if judged.complete else EXIT_INVALID


class Judged(NamedTuple):
    """What the judges file brought; `complete`: nothing that was to be asked is left."""

    panel: Panel | None = None
    cosine: Score | None = None
    pricing: Mapping[str, Pricing | None] = MappingProxyType({})
    entries: Mapping[str, Entry] = MappingProxyType({})
    complete: bool = True


def _judged(args: argparse.Namespace, seen: list[Case], cases: list[Case], results: Results,
            console: Console) -> Judged:
    """Embed all cases, and ask the panel about those that it sees."""
    from fmload_analysis.evaluate.ledger import Ledger
    from fmload_analysis.evaluate.panel import Panel, load_judges

    panel = Panel(load_judges(args.judges))
    pricing = _pricing(panel.spec)
    with console.status("embedding"):  # first: should it fail, nothing has been paid for
        cosine = _cosine(panel.spec, cases)
    with Ledger(results.verdicts_jsonl) as ledger:
        complete = _ask(panel, panel.questions(seen), ledger, pricing, args, console)
        return Judged(panel, cosine, pricing, ledger.entries, complete)


def _write(results: Results, evaluation: dict[str, Any], answers: list[dict[str, Any]]) -> None:
    """Both files. A judge's JSON can spell half a character; it stays spelt."""
    lines = (json.dumps(line, ensure_ascii=False) + "\n" for line in answers)
    results.evaluated_jsonl.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
    write_whole(results.evaluation_json, json.dumps(evaluation, indent=1))


def _ask(panel: Panel, questions: list[Question], ledger: Ledger, pricing: dict[str, Pricing | None],
         args: argparse.Namespace, console: Console) -> bool:
    """Tell what it will cost, and ask; whether all that was to be asked was."""
    from fmload_analysis.evaluate.budget import budget_of
    from fmload_analysis.evaluate.judging import ask_all
    from fmload_analysis.evaluate.terminal import Bars, tell_estimate, tell_left

    budget = budget_of(panel, questions, ledger.entries, pricing, args.max_cost)
    pending = [question for question in questions if not ledger.settled(question.key)]
    tell_estimate(budget, questions, pending, console)
    with Bars(panel.names, questions, pending, console) as bars:
        judges = ask_all(panel.spec, pending, ledger, args.concurrency, budget, bars)
    tell_left(budget, sum(not ledger.settled(question.key) for question in pending), judges, console)
    return not budget.exhausted and not any(judge.gave_up for judge in judges)


def _cosine(spec: JudgesFile, cases: list[Case]) -> Score | None:
    from fmload_analysis.evaluate.embedding_models import local_model
    from fmload_analysis.evaluate.embedding_server import EmbeddingServer
    from fmload_analysis.evaluate.embeddings import Embeddings

    if spec.embedding is None:
        return None
    server = spec.embedding.url is not None
    embeddings = Embeddings(EmbeddingServer(spec.embedding, spec.attempts, spec.backoff_s) if server
                            else local_model(spec.embedding))
    embeddings.fetch(text for case in cases if case.references for text in (case.answer, *case.references))
    return embeddings.cosine


def _price(given: PriceSpec | None) -> Price | None:
    from fmload.pricing.resolve import Price

    return Price.of(given.model_dump(exclude_unset=True)) if given else None


def _pricing(spec: JudgesFile) -> dict[str, Pricing | None]:
    from fmload.pricing.resolve import Pricing, Terms, resolve
    from fmload.pricing.table import load_prices

    table = load_prices()
    found = {judge.name: resolve(Terms(_price(judge.price), model=judge.model, served_from=spec.region), table)
             for judge in spec.judges}
    return {name: price if isinstance(price, Pricing) else None for name, price in found.items()}
