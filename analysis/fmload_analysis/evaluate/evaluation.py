"""From cases and verdicts to evaluation.json: quality, agreement, order bias, cost. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from fmload.plugins import SCORES
from fmload.pricing.resolve import Pricing
from fmload.pricing.spend import usd_of_tokens
from fmload.statistics.intervals import Interval, wilson
from fmload_analysis.evaluate import agreement
from fmload_analysis.evaluate.cases import Case, by_endpoint, one_each
from fmload_analysis.evaluate.differences import Correct, differences
from fmload_analysis.evaluate.graders import Rule, Rules, rule_for
from fmload_analysis.evaluate.intervals import bootstrap
from fmload_analysis.evaluate.ledger import Entry
from fmload_analysis.evaluate.panel import Pair, Panel, pairs_of
from fmload_analysis.evaluate.scores import Score, best

SCHEMA_VERSION = 1
# 1  first version

Entries = Mapping[str, Entry]
Json = dict[str, Any]
CaseScore = Callable[[Case], float]


def all_scores(cosine: Score | None = None) -> dict[str, Score]:
    """The registered scores by name, and `cosine` where there is one."""
    return {name: SCORES.load(name) for name in SCORES} | ({"cosine": cosine} if cosine else {})


def evaluate(cases: Sequence[Case], panel: Panel | None = None, entries: Entries | None = None,
             pricing: Mapping[str, Pricing | None] | None = None, cosine: Score | None = None,
             rules: Rules = MappingProxyType({})) -> Json:
    """The content of evaluation.json; without a panel scores alone. `entries`: the ledger's, by key. `rules`: by prompt
    set what is right where no judge was asked; of others an exact match."""
    scores = all_scores(cosine)
    quality = [_quality(key, group, scores, rule_for(rules, key[1])) for key, group in by_endpoint(cases).items()]
    found: Json = {"schema": SCHEMA_VERSION, "quality": quality, "judges": [], "agreement": [], "panel": None,
                   "comparisons": [], "differences": [], "usd": None, "embedding": None}
    correct = matched = _matched(cases, rules)
    if panel is not None:
        found |= _judged(one_each(cases), panel, entries or {}, pricing or {}, quality)
        found["embedding"] = panel.spec.embedding and panel.spec.embedding.label
        correct = matched | _voted(one_each(cases), panel, entries or {})
    for group in quality:
        group["correct"] = group["judged"] or _ruled(rule_for(rules, group["prompt_set"]),
                                                     matched.get((group["endpoint"], group["prompt_set"])))
    by = {(group["endpoint"], group["prompt_set"]): group["correct"]["by"] for group in quality if group["correct"]}
    found["differences"] = [asdict(each) for each in differences(correct)
                            if by[each.first, each.prompt_set] == by[each.second, each.prompt_set]]
    return found


# -- scores -----------------------------------------------------------------------------------------------------------

def _quality(key: tuple[str, str], cases: Sequence[Case], scores: Mapping[str, Score], rule: Rule | None) -> Json:
    with_truth = [case for case in cases if case.references and rule is not None and rule.truth_is_text]
    return {"endpoint": key[0], "prompt_set": key[1], "answers": len(cases), "cut": sum(case.cut for case in cases),
            "prompts": len({case.question for case in cases}), "judged": None,
            "scores": {name: _score(name, score, with_truth) for name, score in scores.items()} if with_truth else {}}


def _score(name: str, score: Score, cases: Sequence[Case]) -> Json:
    """Each prompt counts once."""
    means = list(_by_prompt(lambda case: best(score, case.answer, case.references), cases).values())
    mean = math.fsum(means) / len(means)
    interval = wilson(mean, len(means)) if name == "exact_match" else bootstrap(means)
    return {"mean": mean, "n": len(means), **_ends(interval)}


def _by_prompt(score: CaseScore, cases: Sequence[Case]) -> dict[str, float]:
    """By question the mean over its answers."""
    known: dict[tuple[str, tuple[str, ...], bool], float] = {}
    prompts: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        key = (case.answer, case.references, case.cut_off)
        if key not in known:
            known[key] = score(case)
        prompts[case.question].append(known[key])
    return {question: math.fsum(values) / len(values) for question, values in prompts.items()}


def _matched(cases: Sequence[Case], rules: Rules) -> dict[tuple[str, str], Correct]:
    """By endpoint and prompt set, what is right by a ground truth and the rule of its prompt set."""
    judged = by_endpoint(case for case in cases if (rule := rule_for(rules, case.prompt_set)) and rule.judges(case))
    return {key: _by_prompt(rule.share, group) for key, group in judged.items()
            if (rule := rule_for(rules, key[1])) is not None}


def _ruled(rule: Rule | None, correct: Correct | None) -> Json | None:
    """Where no judge was asked: the share of prompts answered right; None where that cannot be told."""
    if rule is None or not correct:
        return None
    share = math.fsum(correct.values()) / len(correct)
    return {"by": rule.by, "share": share, "n": len(correct), **_ends(wilson(share, len(correct)))}


def _ends(interval: Interval) -> Json:
    return {"low": interval.low, "high": interval.high, "method": interval.method}


# -- verdicts ---------------------------------------------------------------------------------------------------------

def _judged(cases: Sequence[Case], panel: Panel, entries: Entries, pricing: Mapping[str, Pricing | None],
            quality: Sequence[Json]) -> Json:
    votes = [_votes(case, panel, entries) for case in cases]
    for group in quality:
        mine = [given for case, given in zip(cases, votes, strict=True)
                if (case.endpoint, case.prompt_set) == (group["endpoint"], group["prompt_set"])]
        group["judged"] = _share_correct(mine)
    pairs = pairs_of(cases) if panel.spec.compare else []
    compared = [_comparisons(pair, panel, entries) for pair in pairs]
    asked: dict[str, list[str]] = defaultdict(list)
    for question in panel.questions(cases):
        asked[question.judge].append(question.key)
    judges = [_judge(name, asked[name], votes, compared, entries, pricing.get(name)) for name in panel.names]
    together = agreement.of_panel(panel.names, votes)
    known = [judge["usd"] for judge in judges if judge["usd"] is not None]
    return {"judges": judges, "panel": together and asdict(together),
            "agreement": [{"judges": list(two), **asdict(found)}
                          for two, found in agreement.between(panel.names, votes).items()],
            "comparisons": _comparison_table(pairs, compared), "usd": math.fsum(known) if known else None}


def _votes(case: Case, panel: Panel, entries: Entries) -> dict[str, str]:
    """What each judge said of an answer; judges that gave no verdict are left out."""
    found = {judge: entries.get(panel.grade(judge, case).key) for judge in panel.names}
    return {judge: entry.choice for judge, entry in found.items() if entry is not None and entry.choice is not None}


def _voted(cases: Sequence[Case], panel: Panel, entries: Entries) -> dict[tuple[str, str], Correct]:
    """By endpoint and prompt set, what the panel called correct, of the answers with a verdict."""
    found: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for case in cases:
        if given := _votes(case, panel, entries):
            found[case.endpoint, case.prompt_set][case.question] = float(
                agreement.majority(given.values()) == "correct")
    return dict(found)


def _share_correct(votes: Iterable[Mapping[str, str]]) -> Json | None:
    """The panel's majority over the answers with a verdict; None without any. Undecided is not correct."""
    decided = Counter(agreement.majority(given.values()) for given in votes if given)
    n = decided.total()
    if n == 0:
        return None
    share = decided["correct"] / n
    return {"by": "panel", "share": share, "n": n, **_ends(wilson(share, n)), "correct": decided["correct"],
            "incorrect": decided["incorrect"], "undecided": decided[None]}


def _comparisons(pair: Pair, panel: Panel, entries: Entries) -> dict[str, tuple[str, str]]:
    """By judge the choices in both orders; judges that lack one are left out. Nobody is asked about equal answers."""
    found = {}
    for judge in panel.names if not pair.same else ():
        given = [entries.get(question.key) for question in panel.compare(judge, pair)]
        choices = [entry.choice for entry in given if entry is not None and entry.choice is not None]
        if len(choices) == 2:
            found[judge] = (choices[0], choices[1])
    return found


def _comparison_table(pairs: Sequence[Pair], compared: Sequence[Mapping[str, tuple[str, str]]]) -> list[Json]:
    groups: dict[tuple[str, str, str], Counter[str | None]] = defaultdict(Counter)
    for pair, choices in zip(pairs, compared, strict=True):
        if pair.same or choices:
            group = groups[pair.first.endpoint, pair.second.endpoint, pair.first.prompt_set]
            group["tie" if pair.same else _panel_choice(choices)] += 1
    return [_compared(*key, counts) for key, counts in groups.items()]


def _panel_choice(choices: Mapping[str, tuple[str, str]]) -> str | None:
    """The majority of the judges whose choice does not depend on the order; the others have no vote."""
    firm = (agreement.settled(*both) for both in choices.values())
    return agreement.majority(choice for choice in firm if choice is not None)


def _compared(first: str, second: str, prompt_set: str, counts: Counter[str | None]) -> Json:
    """Wins of both endpoints; the share of `first` is of the prompts that one of them won."""
    decided = counts["first"] + counts["second"]
    share = counts["first"] / decided if decided else None
    return {"prompt_set": prompt_set, "endpoints": [first, second], "prompts": counts.total(),
            "wins": [counts["first"], counts["second"]], "ties": counts["tie"], "undecided": counts[None],
            "share": share, **_ends(wilson(share, decided) if share is not None else Interval(None, None, "none"))}


def _judge(name: str, asked: Sequence[str], votes: Sequence[Mapping[str, str]],
           compared: Sequence[Mapping[str, tuple[str, str]]], entries: Entries, pricing: Pricing | None) -> Json:
    """One judge's work, cost, leaning and order bias. `asked`: the keys of its questions."""
    mine = [entries[key] for key in asked if key in entries]
    outcomes = Counter(entry.outcome for entry in mine)
    given = [vote[name] for vote in votes if name in vote]
    bias = agreement.order_bias([choices[name] for choices in compared if name in choices])
    return {
        "judge": name, "questions": len(asked), "ok": outcomes["ok"], "garbage": outcomes["garbage"],
        "failed": outcomes.total() - outcomes["ok"] - outcomes["garbage"],
        "unasked": len(asked) - len(mine), "throttled": sum(entry.throttled for entry in mine),
        "attempts": sum(entry.attempts for entry in mine),
        "input_tokens": _total(entry.input_tokens for entry in mine),
        "output_tokens": _total(entry.output_tokens for entry in mine), "usd": usd_of(mine, pricing),
        "graded": len(given), "correct_share": given.count("correct") / len(given) if given else None,
        "order": asdict(bias) if bias.n else None}


def _total(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def usd_of(entries: Iterable[Entry], pricing: Pricing | None) -> float | None:
    """What the replies cost by the token; None where the judge has no token prices or tells no tokens."""
    counted = [entry for entry in entries if entry.input_tokens is not None and entry.output_tokens is not None]
    if pricing is None or not pricing.by_token or not counted:
        return None
    return math.fsum(usd_of_tokens(pricing, entry.input_tokens or 0, entry.output_tokens or 0, entry.cached_tokens or 0)
                     for entry in counted)
