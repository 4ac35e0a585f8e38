"""The answers one by one, each with its scores and what every judge said of it: for people to read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fmload_analysis.evaluate.agreement import majority
from fmload_analysis.evaluate.cases import Case
from fmload_analysis.evaluate.graders import Rules, rule_for
from fmload_analysis.evaluate.ledger import Entry
from fmload_analysis.evaluate.panel import Panel
from fmload_analysis.evaluate.scores import Score, best


def reviewed(cases: Sequence[Case], scores: Mapping[str, Score], panel: Panel | None,
             entries: Mapping[str, Entry], rules: Rules = MappingProxyType({})) -> Iterator[dict[str, Any]]:
    """A mapping an answer, in the order of the cases. `verdict` is `correct`, `incorrect`, `undecided`, or None."""
    for case in cases:
        judges = _judges(case, panel, entries) if panel else {}
        yield {"prompt_set": case.prompt_set, "prompt_id": case.prompt_id, "endpoint": case.endpoint,
               "verdict": _verdict(case, judges, rules), "question": case.question, "answer": case.answer,
               "cut": case.cut,
               "references": list(case.references),
               "scores": {name: best(score, case.answer, case.references) for name, score in scores.items()}
               if case.references else {}, "judges": judges}


def _judges(case: Case, panel: Panel, entries: Mapping[str, Entry]) -> dict[str, dict[str, str | None]]:
    """By judge its choice and its reason, or in their place the reply that held none or how it failed."""
    found = {judge: entries.get(panel.grade(judge, case).key) for judge in panel.names}
    return {judge: {"choice": entry.choice, "outcome": entry.outcome, "told": entry.reason or entry.reply}
            for judge, entry in found.items() if entry is not None}


def _verdict(case: Case, judges: Mapping[str, Mapping[str, str | None]], rules: Rules) -> str | None:
    """The panel's; without any vote whether the answer is right by a ground truth and the rule of its prompt set."""
    votes = [said["choice"] for said in judges.values() if said["choice"] is not None]
    if votes:
        return majority(votes) or "undecided"
    rule = rule_for(rules, case.prompt_set)
    if rule is None or not rule.judges(case):
        return None
    return "correct" if rule.share(case) else "incorrect"
