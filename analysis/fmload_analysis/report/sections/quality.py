"""Whether the answers were any good: quality by endpoint and prompt set, what a correct answer costs, the judges."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from fmload.results.answers import ANSWERS_FULL
from fmload_analysis.document import formats
from fmload_analysis.document.document import (
    Axis,
    Block,
    Callout,
    Cell,
    Chart,
    Column,
    Paragraph,
    Point,
    Section,
    Series,
    Table,
    literal,
)
from fmload_analysis.document.formats import cell, name, percent, usd
from fmload_analysis.document.questions import OTHER
from fmload_analysis.evaluate import judges
from fmload_analysis.evaluate.differences import points, who_is_better
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.capacity import capacities
from fmload_analysis.verdict.table import StageResult

_SCORES = {"exact_match": "Exact match", "token_f1": "Token F1", "rouge_l": "ROUGE-L", "levenshtein": "Levenshtein",
           "token_set": "Token set", "word_accuracy": "Word accuracy", "cosine": "Cosine"}
_RIGHT = {"exact_match": "it matches a ground truth exactly (SQuAD's normalisation)",
          "number": "the number that it ends with is the ground truth's",
          "letter": "the option that it names last is the ground truth's", "tests": "its code passes its tests"}
_WHO = (Column("Endpoint", numeric=False), Column("Prompts", numeric=False))
Json = Mapping[str, Any]
Sound = Mapping[tuple[str, str], StageResult]  # by endpoint and prompt set, as `capacities` finds them


def render(analysis: Analysis) -> Section | None:
    """Quality, its price, the judges' agreement and bias. None where nothing was evaluated."""
    path = analysis.run.results.evaluation_json
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    sound = {key: capacity.result for key, capacity in capacities(analysis.results).items()}
    blocks: list[Block] = [Paragraph(_how(found)), *_not_all_kept(analysis), _quality(found, sound),
                           *_unpriced(found, sound), *_charts(found, sound)]
    blocks += [table for table in (_differences(found), _scores(found), _comparisons(found)) if table.rows]
    if found["judges"]:
        agreement = judges.agreement_table(found)
        blocks += [judges.judges_table(found), *judges.warnings(found), *([agreement] if agreement.rows else [])]
    return Section("quality", "Quality of the answers", blocks, OTHER)


def _how(found: Json) -> str:
    by = {group["correct"]["by"] for group in found["quality"] if group["correct"]}
    if "panel" in by:
        return ("An answer is correct when more than half of the judges' verdicts say so; one of an undecided panel is "
                "not. The judges saw one answer of each endpoint to each prompt.")
    if by:
        return (f"An answer is correct when {' or '.join(_RIGHT[each] for each in sorted(by))}: no judge was asked. "
                "Each prompt counts once, however often it was sent.")
    return ("Neither ground truths nor verdicts are known: what is correct cannot be told. Name the prompts' "
            "`reference_column` in the run file, or call `fmload evaluate` with `--references` or `--judges`.")


def _not_all_kept(analysis: Analysis) -> Iterator[Callout]:
    if any(event.get("kind") == ANSWERS_FULL for event in analysis.run.events):
        yield Callout("warn", "Not all answers were kept", "The run reached its limit, `keep_answers: {total: …}`: "
                      "what follows is about the answers that came before. Later ones were measured and not kept.")


def _price(sound: Sound, group: Json) -> float | None:
    """Price of a transaction at the highest sound load within the objectives."""
    result = sound.get((group["endpoint"], group["prompt_set"]))
    return result.value("price_per_transaction") if result else None


def _quality(found: Json, sound: Sound) -> Table:
    columns = [*_WHO, Column("n", title="Distinct prompts: each counts once"),
               Column("Correct", title="With its 95 % interval"),
               Column("Undecided", title="As many votes for as against: not correct", detail=not found["judges"]),
               Column("Per 1k transactions", "USD"),
               Column("Per 1k correct answers", "USD", "At the ends of the share's interval in brackets"),
               Column("Answers", title="Kept, of requests that ended well", detail=True),
               Column("Cut", title="Answers too long to be kept whole", detail=True)]
    rows = []
    for group in found["quality"]:
        correct, price = group["correct"], _price(sound, group)
        rows.append([
            name(group["endpoint"]), name(group["prompt_set"]), cell(correct and correct["n"], formats.count),
            _share(correct), cell(correct and correct.get("undecided"), formats.count),
            cell(None if price is None else price * 1e3, usd), _price_cell(price, correct),
            cell(group["answers"], formats.count), cell(group["cut"], formats.count)])
    return Table(columns, rows, "**Correct answers, and what they cost** at the highest sound load that meets the "
                                "objectives; 95 % intervals in brackets")


def _unpriced(found: Json, sound: Sound) -> Iterator[Paragraph]:
    """Why a price is n/a."""
    for group in found["quality"]:
        who = f"**{group['endpoint']}** ({group['prompt_set']})"
        if (group["endpoint"], group["prompt_set"]) not in sound:
            yield Paragraph(f"No price for {who}: at none of its loads the numbers are sound and the objectives met.")
        elif _price(sound, group) is None:
            yield Paragraph(f"No price for {who}: the run file names none, and the price table holds none.")


def _share(figure: Json | None) -> Cell:
    """A share with its interval."""
    if not figure or figure["share"] is None:
        return Cell(formats.ABSENT)
    return Cell(f"{percent(figure['share'])} ({_interval(figure, lambda end: f'{end * 100:.0f}')})", figure["share"])


def _interval(figure: Json, form: formats.Format) -> str:
    if figure["low"] is None or figure["high"] is None:
        return formats.ABSENT
    return f"{form(figure['low'])} – {form(figure['high'])}"


def _price_cell(price: float | None, correct: Json | None) -> Cell:
    """The price of a correct answer over the ends of the share; that of a transaction is taken as exact."""
    if price is None or not correct:
        return Cell(formats.ABSENT)
    each, least, most = (price * 1e3 / correct[end] if correct[end] else math.inf for end in ("share", "high", "low"))
    return Cell(f"{_dollars(each)} ({_dollars(least)} – {_dollars(most)})", each)


def _dollars(value: float) -> str:
    return usd(value) if math.isfinite(value) else "∞"


def _charts(found: Json, sound: Sound) -> Iterator[Chart]:
    """Correct answers against price, where there are two endpoints to compare."""
    priced = [(group, price * 1e4) for group in found["quality"]
              if group["correct"] and (price := _price(sound, group)) is not None]
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


def _differences(found: Json) -> Table:
    """Endpoints on the same prompts: what two intervals side by side cannot tell."""
    columns = [Column("First", numeric=False), Column("Second", numeric=False), Column("Prompts", numeric=False),
               Column("n", title="Prompts that both answered"),
               Column("First − second", "percentage points", "With its 95 % interval"), Column("", numeric=False)]
    rows = [[*map(name, (each["first"], each["second"], each["prompt_set"])), cell(each["n"], formats.count),
             Cell(points(each), each["difference"]), name(who_is_better(each))]
            for each in found.get("differences", ())]
    return Table(columns, rows, "**Which is right more often?** Prompt by prompt, over those that both answered")


def _scores(found: Json) -> Table:
    """A line a score, a column an endpoint: whose texts are nearer to the truth is read along the line."""
    groups = {(group["prompt_set"], group["endpoint"]): group["scores"] for group in found["quality"]
              if group["scores"]}
    endpoints = list(dict.fromkeys(endpoint for _, endpoint in groups))
    lines = dict.fromkeys((prompt_set, score) for prompt_set, _ in groups for score in _ordered(found))
    columns = [Column("Prompts", numeric=False), Column("Score", numeric=False),
               Column("n", title="Prompts with a ground truth, of the endpoint that has fewest"),
               *(Column(endpoint) for endpoint in endpoints)]
    rows = []
    for prompt_set, score in lines:
        figures = [groups.get((prompt_set, endpoint), {}).get(score) for endpoint in endpoints]
        n = min((figure["n"] for figure in figures if figure), default=None)
        rows.append([name(prompt_set), name(_SCORES.get(score, score)), cell(n, formats.count), *map(_score, figures)])
    by = f"; cosine by {literal(found['embedding'])}" if found.get("embedding") else ""
    return Table(columns, rows,
                 "**Scores against ground truth**, means over prompts with 95 % intervals; 1 is best" + by)


def _ordered(found: Json) -> list[str]:
    """The scores that were computed: ours in their order, then others'."""
    known = {score for group in found["quality"] for score in group["scores"]}
    return [*(score for score in _SCORES if score in known), *sorted(known - _SCORES.keys())]


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
