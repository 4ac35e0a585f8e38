"""Whether the answers were any good: quality by endpoint and prompt set, what a correct answer costs, the judges."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from analysis import formats
from analysis.document import Axis, Block, Callout, Cell, Chart, Column, Paragraph, Point, Section, Series, Table
from analysis.formats import cell, name, percent, usd
from analysis.pipeline import Analysis
from analysis.sections.cost import capacities

_SCORES = {"exact_match": "Exact match", "token_f1": "Token F1", "rouge_l": "ROUGE-L", "levenshtein": "Levenshtein",
           "token_set": "Token set", "cosine": "Cosine"}
_WHO = (Column("Endpoint", numeric=False), Column("Prompts", numeric=False))
Json = Mapping[str, Any]


def render(analysis: Analysis) -> Section | None:
    """Quality, its price, the judges' agreement and bias. None where nothing was evaluated."""
    path = analysis.run.results.evaluation_json
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    blocks: list[Block] = [Paragraph(_how(found)), _quality(found, analysis), *_charts(found, analysis)]
    blocks += [table for table in (_scores(found), _comparisons(found)) if table.rows]
    if found["judges"]:
        blocks += [_judges(found), *_warnings(found), *(table for table in (_agreement(found),) if table.rows)]
    return Section("quality", "Quality of the answers", blocks)


def _how(found: Json) -> str:
    by = {group["correct"]["by"] for group in found["quality"] if group["correct"]}
    if "panel" in by:
        return ("An answer is correct when more than half of the judges' verdicts say so; one of an undecided panel is "
                "not. The judges saw one answer of each endpoint to each prompt.")
    if by:
        return ("An answer is correct when it matches a ground truth exactly (SQuAD's normalisation): no judge was "
                "asked. Each prompt counts once, however often it was sent.")
    return "Neither ground truths nor verdicts are known: what is correct cannot be told."


def _price(analysis: Analysis, group: Json) -> tuple[float, float] | None:
    """Price of a transaction at the highest sound load within the objectives, and of a correct answer there."""
    result = capacities(analysis).get((group["endpoint"], group["prompt_set"]))
    price = result.value("price_per_transaction") if result else None
    if price is None or not group["correct"] or not group["correct"]["share"]:
        return None
    return price, price / group["correct"]["share"]


def _quality(found: Json, analysis: Analysis) -> Table:
    columns = [*_WHO, Column("n", title="Distinct prompts: each counts once"),
               Column("Correct", title="With its 95 % interval"), Column("Per 1k transactions", "USD"),
               Column("Per 1k correct answers", "USD", "At the ends of the share's interval in brackets"),
               Column("Undecided", detail=True),
               Column("Answers", title="Kept, of requests that ended well", detail=True),
               Column("Cut", title="Answers too long to be kept whole", detail=True)]
    rows = []
    for group in found["quality"]:
        correct, prices = group["correct"], _price(analysis, group)
        rows.append([
            name(group["endpoint"]), name(group["prompt_set"]), cell(correct and correct["n"], formats.count),
            _share(correct), cell(prices and prices[0] * 1e3, usd), _price_cell(prices, correct),
            cell(correct and correct.get("undecided"), formats.count), cell(group["answers"], formats.count),
            cell(group["cut"], formats.count)])
    return Table(columns, rows, "**Correct answers, and what they cost** at the highest sound load that meets the "
                                "objectives; 95 % intervals in brackets")


def _share(figure: Json | None) -> Cell:
    """A share with its interval."""
    if not figure or figure["share"] is None:
        return Cell(formats.ABSENT)
    return Cell(f"{percent(figure['share'])} ({_interval(figure, lambda end: f'{end * 100:.0f}')})", figure["share"])


def _interval(figure: Json, form: formats.Format) -> str:
    if figure["low"] is None or figure["high"] is None:
        return formats.ABSENT
    return f"{form(figure['low'])} – {form(figure['high'])}"


def _price_cell(prices: tuple[float, float] | None, correct: Json | None) -> Cell:
    """The price over the ends of the share; that of a transaction is taken as exact."""
    if prices is None or not correct:
        return Cell(formats.ABSENT)
    transaction, each = (price * 1e3 for price in prices)
    most = usd(transaction / correct["low"]) if correct["low"] else "∞"
    return Cell(f"{usd(each)} ({usd(transaction / correct['high'])} – {most})", each)


def _charts(found: Json, analysis: Analysis) -> Iterator[Chart]:
    """Correct answers against price, where there are two endpoints to compare."""
    priced = [(group, prices[0] * 1e4) for group in found["quality"] if (prices := _price(analysis, group))]
    endpoints = list(dict.fromkeys(group["endpoint"] for group, _ in priced))
    prompt_sets = list(dict.fromkeys(group["prompt_set"] for group, _ in priced))
    if len(endpoints) > 1:
        series = [Series(_label(group, len(prompt_sets)), _marks(group, price), endpoints.index(group["endpoint"]),
                         prompt_sets.index(group["prompt_set"])) for group, price in priced]
        yield Chart("quality_price", "Quality against price", "xy", Axis("Price per 10k transactions", "USD"),
                    Axis("Correct answers", "%"), series,
                    note="Left and up is better. The outer marks are the ends of the 95 % interval.")


def _label(group: Json, prompt_sets: int) -> str:
    return f"{group['endpoint']} · {group['prompt_set']}" if prompt_sets > 1 else str(group["endpoint"])


def _marks(group: Json, price: float) -> list[Point]:
    correct = group["correct"]
    tip = f"{group['endpoint']} · {group['prompt_set']}: {_share(correct).text} of {correct['n']} prompts"
    return [Point(price, correct[end] * 100, tip=tip) for end in ("low", "share", "high")]


def _scores(found: Json) -> Table:
    groups = [group for group in found["quality"] if group["scores"]]
    names = list(dict.fromkeys(key for group in groups for key in group["scores"]))
    columns = [*_WHO, Column("n"), *(Column(_SCORES.get(score, score)) for score in names)]
    rows = [[name(group["endpoint"]), name(group["prompt_set"]),
             cell(next(iter(group["scores"].values()))["n"], formats.count),
             *(_score(group["scores"].get(score)) for score in names)] for group in groups]
    return Table(columns, rows, "**Scores against ground truth**, means over prompts with 95 % intervals; 1 is best")


def _score(figure: Json | None) -> Cell:
    if figure is None:
        return Cell(formats.ABSENT)
    interval = _interval(figure, lambda value: f"{value:.2f}")
    return Cell(f"{figure['mean']:.2f} ({interval})", figure["mean"])


def _comparisons(found: Json) -> Table:
    columns = [Column("First", numeric=False), Column("Second", numeric=False), Column("Prompts", numeric=False),
               Column("n"), Column("First wins"), Column("Second wins"), Column("Ties"), Column("Undecided"),
               Column("First's share of wins")]
    rows = [[name(each["endpoints"][0]), name(each["endpoints"][1]), name(each["prompt_set"]),
             *(cell(value, formats.count) for value in (each["prompts"], *each["wins"], each["ties"],
                                                       each["undecided"])), _share(each)]
            for each in found["comparisons"]]
    return Table(columns, rows, "**Answers side by side**: the panel's choice; a judge whose choice changed with the "
                                "order has no vote")


def _judges(found: Json) -> Table:
    columns = [Column("Judge", numeric=False), Column("Questions"), Column("Verdicts"),
               Column("Says correct", title="Of the answers it graded"),
               Column("Order", "changed", "Comparisons in which the choice changed with the order"),
               Column("First place", "chosen", "Of its choices but ties: one half without bias"), Column("Cost", "USD"),
               Column("Throttled", "attempts"), Column("No verdict", "replies", detail=True),
               Column("Failed", detail=True), Column("Not asked", detail=True),
               Column("Input", "tokens", detail=True), Column("Output", "tokens", detail=True)]
    rows = []
    for judge in found["judges"]:
        order = judge["order"] or {}
        rows.append([
            name(judge["judge"]), *(cell(judge[key], formats.count) for key in ("questions", "ok")),
            cell(judge["correct_share"], percent),
            cell(order["changed"] / order["n"] if order else None, percent), cell(order.get("first_share"), percent),
            cell(judge["usd"], usd), *(cell(judge[key], formats.count) for key in (
                "throttled", "garbage", "failed", "unasked", "input_tokens", "output_tokens"))])
    return Table(columns, rows, f"**Judges**; their replies cost {formats.text(found['usd'], usd)}")


def _warnings(found: Json) -> Iterator[Callout]:
    for judge in found["judges"]:
        order = judge["order"]
        lacking = judge["garbage"] + judge["failed"] + judge["unasked"]
        if order and 2 * order["changed"] > order["n"]:
            yield Callout("warn", "Order bias", f"The choices of **{judge['judge']}** changed with the order of the "
                          f"answers in {order['changed']} of {order['n']} comparisons; those have no vote.")
        if lacking:
            yield Callout("warn", "Missing verdicts", f"**{judge['judge']}** gave no verdict on {lacking} of "
                          f"{judge['questions']} questions: {judge['garbage']} replies without one, {judge['failed']} "
                          f"failures, {judge['unasked']} not asked.")


def _agreement(found: Json) -> Table:
    columns = [Column("Judges", numeric=False), Column("Answers"), Column("Same verdict"), Column("Kappa"),
               Column("Statistic", numeric=False)]
    figures = [(" and ".join(each["judges"]), each, "Cohen's κ") for each in found["agreement"]]
    if found["panel"]:
        figures.append(("all", found["panel"], "Fleiss' κ"))
    rows = [[name(who), cell(each["n"], formats.count), cell(each["observed"], percent),
             cell(each["kappa"], lambda value: f"{value:.2f}"), name(statistic)] for who, each, statistic in figures]
    return Table(columns, rows, "**Agreement between the judges**: 1 is full agreement, 0 what chance gives")
