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
           "token_set": "Token set"}
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
        blocks += [_judges(found), *_warnings(found), _agreement(found)]
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
    columns = [*_WHO, Column("Answers"), Column("Prompts", title="distinct ones, that count"),
               Column("Cut", detail=True), Column("Correct"), Column("95 % interval", numeric=False),
               Column("Undecided", "prompts"), Column("Per 1k transactions", "USD"),
               Column("Per 1k correct answers", "USD"), Column("95 % interval", "USD", numeric=False)]
    rows = []
    for group in found["quality"]:
        correct, prices = group["correct"], _price(analysis, group)
        rows.append([
            name(group["endpoint"]), name(group["prompt_set"]), cell(group["answers"], formats.count),
            cell(correct and correct["n"], formats.count), cell(group["cut"], formats.count),
            cell(correct and correct["share"], percent), Cell(_interval(correct, percent)),
            cell(correct and correct.get("undecided"), formats.count),
            cell(prices and prices[0] * 1e3, usd), cell(prices and prices[1] * 1e3, usd),
            Cell(_price_interval(prices, correct))])
    return Table(columns, rows, "**Correct answers, and what they cost** at the highest sound load that meets the "
                                "objectives")


def _interval(figure: Json | None, form: formats.Format) -> str:
    if not figure or figure["low"] is None or figure["high"] is None:
        return formats.ABSENT
    return f"{form(figure['low'])} – {form(figure['high'])}"


def _price_interval(prices: tuple[float, float] | None, correct: Json | None) -> str:
    """The price over the ends of the share; the price itself is taken as exact."""
    if prices is None or not correct or not correct["low"]:
        return formats.ABSENT
    return f"{usd(prices[0] * 1e3 / correct['high'])} – {usd(prices[0] * 1e3 / correct['low'])}"


def _charts(found: Json, analysis: Analysis) -> Iterator[Chart]:
    """Quality against price: left and up is better."""
    series: dict[str, list[Point]] = {}
    prompt_sets = list(dict.fromkeys(group["prompt_set"] for group in found["quality"]))
    for group in found["quality"]:
        prices = _price(analysis, group)
        if prices:
            tip = f"{group['endpoint']} · {group['prompt_set']}: {_interval(group['correct'], percent)}"
            series.setdefault(group["endpoint"], []).append(
                Point(prices[0] * 1e4, group["correct"]["share"] * 100, tip=tip))
    if len(series) > 1:
        yield Chart("quality_price", "Quality against price", "xy", Axis("Price per 10k transactions", "USD"),
                    Axis("Correct answers", "%"),
                    [Series(endpoint, points, place, joined=False) for place, (endpoint, points) in
                     enumerate(series.items())],
                    note=f"Left and up is better. One mark a prompt set ({', '.join(prompt_sets)}).")


def _scores(found: Json) -> Table:
    groups = [group for group in found["quality"] if group["scores"]]
    names = list(dict.fromkeys(key for group in groups for key in group["scores"]))
    columns = [*_WHO, Column("Prompts"), *(Column(_SCORES.get(score, score)) for score in names)]
    rows = [[name(group["endpoint"]), name(group["prompt_set"]),
             cell(next(iter(group["scores"].values()))["n"], formats.count),
             *(_score(group["scores"].get(score)) for score in names)] for group in groups]
    return Table(columns, rows, "**Scores against ground truth**, means over prompts with 95 % intervals; 1 is best")


def _score(figure: Json | None) -> Cell:
    if figure is None:
        return Cell(formats.ABSENT)
    interval = _interval(figure, lambda value: f"{value:.2f}")
    return Cell(f"{figure['mean']:.3f} ({interval})", figure["mean"])


def _comparisons(found: Json) -> Table:
    columns = [Column("First", numeric=False), Column("Second", numeric=False), Column("Prompts", numeric=False),
               Column("Compared"), Column("First wins"), Column("Second wins"), Column("Ties"), Column("Undecided"),
               Column("First's share of wins"), Column("95 % interval", numeric=False)]
    rows = [[name(each["endpoints"][0]), name(each["endpoints"][1]), name(each["prompt_set"]),
             *(cell(value, formats.count) for value in (each["prompts"], *each["wins"], each["ties"],
                                                       each["undecided"])),
             cell(each["share"], percent), Cell(_interval(each, percent))] for each in found["comparisons"]]
    return Table(columns, rows, "**Answers side by side**: the panel's choice; a judge whose choice changed with the "
                                "order has no vote")


def _judges(found: Json) -> Table:
    columns = [Column("Judge", numeric=False), Column("Questions"), Column("Verdicts"), Column("Without a verdict"),
               Column("Failed"), Column("Not asked"), Column("Throttled", "attempts"), Column("Says correct"),
               Column("Changed with the order"), Column("Chose the first"), Column("Input", "tokens", detail=True),
               Column("Output", "tokens", detail=True), Column("Cost", "USD")]
    rows = []
    for judge in found["judges"]:
        order = judge["order"] or {}
        rows.append([
            name(judge["judge"]), *(cell(judge[key], formats.count) for key in (
                "questions", "ok", "garbage", "failed", "unasked", "throttled")),
            cell(judge["correct_share"], percent),
            cell(order["changed"] / order["n"] if order else None, percent), cell(order.get("first_share"), percent),
            cell(judge["input_tokens"], formats.count), cell(judge["output_tokens"], formats.count),
            cell(judge["usd"], usd)])
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
                          f"{judge['questions']} questions.")


def _agreement(found: Json) -> Table:
    columns = [Column("Judges", numeric=False), Column("Answers"), Column("Same verdict"), Column("Kappa"),
               Column("Statistic", numeric=False)]
    figures = [(" and ".join(each["judges"]), each, "Cohen's κ") for each in found["agreement"]]
    if found["panel"]:
        figures.append(("all", found["panel"], "Fleiss' κ"))
    rows = [[name(who), cell(each["n"], formats.count), cell(each["observed"], percent),
             cell(each["kappa"], lambda value: f"{value:.2f}"), name(statistic)] for who, each, statistic in figures]
    return Table(columns, rows, "**Agreement between the judges**: 1 is full agreement, 0 what chance gives")
